import { expect, it } from "vitest";
import { serviceFacts } from "./service-facts.ts";
import { objectsOf } from "./testing/objects.ts";

const service = (name: string, ip: string, ports: string, selector = `{ app: ${name} }`) => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { clusterIP: ${ip}, selector: ${selector}, ports: [${ports}] }
`;
const entry = (name: string, host: string, port: string, more = "") => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: shop }
spec: { hosts: [${host}], ports: [${port}], resolution: DNS, ${more} }
`;
const facts = (...texts: readonly string[]) => serviceFacts(objectsOf(texts.join("---")), "cluster.local");
const NONE = { duplicateClusters: 0, outboundTcpConflicts: 0, inboundConflicts: 0 };
const TCP = "{ number: 5432, name: tcp, protocol: TCP }";
const HTTP = "{ number: 80, name: http, protocol: HTTP }";

it("finds nothing where everybody has a place of its own", () => {
  expect(
    facts(
      service("a", "10.0.0.1", "{ name: tcp, port: 5432 }"),
      service("b", "10.0.0.2", "{ name: tcp, port: 5432 }"),
      service("c", "None", "{ name: tcp, port: 5432 }"),
      entry("d", "d.example.com", HTTP),
      entry("e", "e.example.com", HTTP),
      entry("f", "f.example.com", TCP),
    ),
  ).toEqual(NONE);
});

it("counts TCP services that share a listener, those after the first", () => {
  const three = ["a", "b", "c"].map((name) => entry(name, `${name}.example.com`, TCP));
  expect(facts(...three)).toEqual({ ...NONE, outboundTcpConflicts: 2 });
});

it("counts ports of hosts that are declared twice", () => {
  expect(facts(entry("a", "x.example.com", HTTP), entry("b", "x.example.com", HTTP))).toEqual({
    ...NONE,
    duplicateClusters: 1,
  });
});

it("counts container ports that are taken for two protocols", () => {
  const both = (ports: string) => service("two", "10.0.0.2", ports, "{ app: a }");
  const one = service("a", "10.0.0.1", "{ name: http, port: 80, targetPort: 8080 }");
  expect(facts(one, both("{ name: tcp-b, port: 81, targetPort: 8080 }"))).toEqual({ ...NONE, inboundConflicts: 1 });
  expect(facts(one, both("{ name: http-b, port: 81, targetPort: 8080 }"))).toEqual(NONE);
});
