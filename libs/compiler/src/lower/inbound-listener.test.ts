import { describe, expect, it } from "vitest";
import {
  acceptedNames,
  chainsOf,
  downstreamTlsOf,
  httpManagerOf,
  type NodeOptions,
  service,
  viewOf,
} from "../testing/mesh.ts";

const NODE: NodeOptions = {
  labels: { app: "web" },
  ports: [{ name: "web", containerPort: 8080 }, { containerPort: 9999 }],
};
const policy = (mode: string, more = "") => `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: p }
spec: { selector: { matchLabels: { app: web } }, mtls: { mode: ${mode} } ${more} }
---`;

function chains(port: string, yaml: string, node: NodeOptions = NODE): readonly string[] {
  const prefix = `port ${port} `;
  return chainsOf(viewOf(yaml, node).listener("virtualInbound"))
    .filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length).replaceAll(`inbound|${port}||`, "it"));
}

const HTTP = "istio-http/1.0,istio-http/1.1,istio-h2";
const TCP = "istio-peer-exchange,istio";
const PLAIN = "http/1.0,http/1.1,h2c";

describe("the chain matrix by mode and protocol", () => {
  it.each([
    ["PERMISSIVE", "http", [`tls ${HTTP},${TCP} → mtls http it`, "raw_buffer → http it"]],
    ["PERMISSIVE", "tcp", [`tls ${HTTP},${TCP} → mtls tcp it`, "tls → tcp it", "raw_buffer → tcp it"]],
    ["PERMISSIVE", "https", [`tls ${HTTP},${TCP} → mtls tcp it`, "tls → tcp it", "raw_buffer → tcp it"]],
    [
      "PERMISSIVE",
      "",
      [
        `tls ${HTTP} → mtls http it`,
        `raw_buffer ${PLAIN} → http it`,
        `tls ${TCP} → mtls tcp it`,
        "raw_buffer → tcp it",
        "tls → tcp it",
      ],
    ],
    ["STRICT", "http", ["tls → mtls http it"]],
    ["STRICT", "tcp", ["tls → mtls tcp it"]],
    ["STRICT", "", [`tls ${HTTP} → mtls http it`, "tls → mtls tcp it"]],
    ["DISABLE", "http", ["raw_buffer → http it"]],
    ["DISABLE", "tcp", ["→ tcp it"]],
    ["DISABLE", "", [`raw_buffer ${PLAIN} → http it`, "raw_buffer → tcp it", "tls → tcp it"]],
  ])("%s %s", (mode, protocol, expected) => {
    expect(chains("8080", service("web", "10.0.0.1", [`${protocol}:80:8080`]) + policy(mode))).toEqual(expected);
  });

  it("gRPC is opaque to a proxy without HTTP/2 and HTTP to Envoy", () => {
    const yaml = service("web", "10.0.0.1", ["grpc:80:8080"]) + policy("STRICT");
    expect(chains("8080", yaml)).toEqual(["tls → mtls tcp it"]);
    expect(chains("8080", yaml, { ...NODE, envoy: true })).toEqual(["tls → mtls http it"]);
  });
});

describe("which mode holds", () => {
  const rule = (namespace: string, mode: string, selector = "", name = "p", more = "") => `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${selector === "" ? "" : `selector: { matchLabels: { app: ${selector} } }, `}mtls: { mode: ${mode} } ${more} }
---`;
  const WEB = service("web", "10.0.0.1", ["http:80:8080", "http-b:81:9999"]);
  const modes = (yaml: string) => [chains("8080", WEB + yaml).length, chains("9999", WEB + yaml).length];
  // One chain: STRICT. Two: PERMISSIVE.

  it.each([
    ["nothing is said", "", [2, 2]],
    ["the mesh is strict", rule("istio-system", "STRICT"), [1, 1]],
    ["the namespace undoes the mesh", rule("istio-system", "STRICT") + rule("default", "PERMISSIVE"), [2, 2]],
    ["another namespace has no say", rule("prod", "STRICT"), [2, 2]],
    ["a namespace leaves it to the mesh", rule("istio-system", "STRICT") + rule("default", "UNSET"), [1, 1]],
    ["the workload is strict", rule("default", "PERMISSIVE") + rule("default", "STRICT", "web", "w"), [1, 1]],
    ["another workload is strict", rule("default", "STRICT", "other", "w"), [2, 2]],
    [
      "a port has its own",
      rule("default", "STRICT", "web", "w", ", portLevelMtls: { 9999: { mode: PERMISSIVE } }"),
      [1, 2],
    ],
    ["the root namespace cannot select workloads", rule("istio-system", "STRICT", "web"), [2, 2]],
  ])("%s", (_title, yaml, expected) => {
    expect(modes(yaml)).toEqual(expected);
  });
});

describe("ports", () => {
  it("are container ports: numbers, names, or the service's own", () => {
    const yaml = service("web", "10.0.0.1", ["http:80:web", "http-a:81", "http-b:82:missing"]);
    const view = viewOf(yaml, NODE);
    expect(view.names("cluster").filter((name) => name.startsWith("inbound"))).toEqual([
      "inbound|81||",
      "inbound|8080||",
    ]);
  });

  it("of several services behind one port the oldest decides, all are named", () => {
    const yaml =
      service("b", "10.0.0.2", ["tcp:90:8080"], { selector: { app: "web" } }) +
      service("a", "10.0.0.1", ["http:80:8080"], { selector: { app: "web" } });
    const view = viewOf(yaml, NODE);
    expect(view.cluster("inbound|8080||").metadata?.filterMetadata.istio).toMatchObject({
      services: [{ name: "a" }, { name: "b" }],
    });
    expect(chains("8080", yaml)).toEqual([`tls ${HTTP},${TCP} → mtls http it`, "raw_buffer → http it"]);
  });

  it("services of other namespaces or with other selectors do not count", () => {
    const yaml =
      service("web", "10.0.0.1", ["http:80:8080"], { namespace: "prod" }) +
      service("other", "10.0.0.2", ["http:80:8080"]);
    expect(chains("8080", yaml)).toEqual([]);
  });

  it("undeclared ones pass through under the workload's mode", () => {
    const all = chainsOf(viewOf(policy("STRICT"), NODE).listener("virtualInbound"));
    expect(all).toEqual([
      "port 15006 → tcp BlackHoleCluster",
      `tls ${HTTP} → mtls http InboundPassthroughCluster`,
      "tls → mtls tcp InboundPassthroughCluster",
    ]);
  });

  it("a port-level mode makes a chain also where no service leads", () => {
    const yaml = policy("STRICT", ", portLevelMtls: { 7777: { mode: DISABLE } }");
    expect(chains("7777", yaml)).toEqual([`raw_buffer ${PLAIN} → http it`, "raw_buffer → tcp it", "tls → tcp it"]);
  });
});

describe("the server side of mTLS", () => {
  const chain = (meshConfig = {}) =>
    viewOf(service("web", "10.0.0.1", ["http:80:8080"]), NODE, meshConfig).listener("virtualInbound").filterChains[1];

  it("asks for a certificate of the trust domain or an alias", () => {
    expect(downstreamTlsOf(chain()).requireClientCertificate).toBe(true);
    expect(acceptedNames(downstreamTlsOf(chain({ trustDomain: "a", trustDomainAliases: ["b"] })))).toEqual([
      "uri prefix spiffe://a/",
      "uri prefix spiffe://b/",
    ]);
  });

  it("forwards who called, and says who answers", () => {
    const manager = httpManagerOf(chain()?.filters[0]);
    expect(manager.serverName).toBe("istio-envoy");
    expect(manager.setCurrentClientCertDetails).toMatchObject({ subject: true, uri: true, dns: true });
  });
});
