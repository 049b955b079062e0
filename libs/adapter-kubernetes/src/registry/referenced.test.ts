import { decodeObject } from "@lateen/mesh-model";
import type { RegistryObject } from "@lateen/ports";
import { eventually } from "@lateen/test-support";
import { describe, expect, it, onTestFinished } from "vitest";
import { testCluster } from "../testing/cluster.ts";
import { Collector } from "../testing/collector.ts";
import { configMap, service } from "../testing/objects.ts";
import { kubernetesRegistry } from "./kubernetes-registry.ts";
import { referencesOf, type Wanted } from "./references.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const secret = (name: string, crt: string, namespace = "edge") => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace },
  type: "kubernetes.io/tls",
  data: { "tls.crt": base64(crt), "tls.key": base64("key"), other: base64("unread") },
});

async function watching(
  wanted: Wanted | undefined,
  prepare: (cluster: Awaited<ReturnType<typeof testCluster>>) => void = () => {},
) {
  const cluster = await testCluster(onTestFinished);
  cluster.server.apply(
    service("cart"),
    secret("site", "one"),
    secret("unnamed", "x"),
    configMap("roots", { "ca.crt": "r" }),
  );
  prepare(cluster);
  const collector = new Collector<RegistryObject>();
  let tell: (wanted: Wanted) => void = () => undefined;
  const references = {
    watch: (_scope: unknown, receive: (wanted: Wanted) => void) => {
      tell = receive;
      if (wanted !== undefined) receive(wanted);
    },
  };
  const registry = kubernetesRegistry(cluster.api, { ...cluster.options, references });
  const started = registry.watch(cluster.scope, ({ snapshot, upserted, removed }) => {
    const changes = new Map<string, RegistryObject | undefined>(removed.map((key) => [key, undefined]));
    for (const one of upserted) changes.set(`${one.kind}/${one.metadata.namespace}/${one.metadata.name}`, one);
    collector.receive({ snapshot, changes });
  });
  const read = () => cluster.server.requests.filter(({ verb }) => verb === "get").map(({ name }) => name);
  return { ...cluster, collector, started, read, tell: (next: Wanted) => tell(next) };
}

describe("credentials", () => {
  it("that are named come with the first snapshot, and no other is read", async () => {
    const { collector, started, read } = await watching(new Set(["Secret//site", "Secret//site-cacert"]));
    await started;
    expect(collector.deliveries).toEqual([["+Secret/edge/site", "+Service/shop/cart"]]);
    expect(collector.state.get("Secret/edge/site")).toMatchObject({
      data: { "tls.crt": base64("one"), "tls.key": base64("key") },
    });
    expect(JSON.stringify(collector.state.get("Secret/edge/site"))).not.toContain(base64("unread"));
    expect(read()).toEqual(["site"]);
  });

  it("are waited for until it is known which", async () => {
    const { collector, started, server, tell } = await watching(undefined);
    await eventually("all lists", async () => (server.watches >= 7 ? true : undefined));
    expect(collector.deliveries).toEqual([]);
    tell(new Set());
    await started;
    expect(collector.keys).toEqual(["Service/shop/cart"]);
  });

  it("follow their changes, and what is named", async () => {
    const { collector, started, server, tell } = await watching(new Set(["Secret//site"]));
    await started;
    server.apply(secret("site", "two"));
    const crt = () => {
      const found = collector.state.get("Secret/edge/site");
      return found?.kind === "Secret" ? found.data?.["tls.crt"] : undefined;
    };
    await collector.until(() => crt() === base64("two"));
    tell(new Set(["Secret/edge/unnamed", "ConfigMap/shop/roots"]));
    await collector.until(({ state }) => state.size === 3 && !state.has("Secret/edge/site"));
    expect(collector.keys).toEqual(["ConfigMap/shop/roots", "Secret/edge/unnamed", "Service/shop/cart"]);
    server.delete("v1", "Secret", "unnamed", "edge");
    await collector.until(({ state }) => !state.has("Secret/edge/unnamed"));
  });

  it("that we may not read hold nothing up, and come when we may", async () => {
    let refuse = true;
    const { collector, started, logger } = await watching(new Set(["Secret//site"]), ({ server }) => {
      server.fault(({ verb, plural }) =>
        verb === "get" && plural === "secrets" && refuse ? { status: 403 } : undefined,
      );
    });
    await started;
    expect(collector.keys).toEqual(["Service/shop/cart"]);
    expect(logger.of("credential.not_read").length).toBe(1);
    refuse = false;
    await collector.until(({ state }) => state.has("Secret/edge/site"));
  });

  it("are waited for while the API server fails", async () => {
    let failures = 3;
    const { collector, started } = await watching(new Set(["Secret//site"]), ({ server }) => {
      server.fault(({ verb, plural }) =>
        verb === "get" && plural === "secrets" && failures-- > 0 ? { status: 500 } : undefined,
      );
    });
    await started;
    expect(collector.keys).toContain("Secret/edge/site");
  });
});

describe("what an object refers to", () => {
  const of = (kind: string, apiVersion: string, spec: unknown) => {
    const decoded = decodeObject({ apiVersion, kind, metadata: { name: "x", namespace: "ns" }, spec }, ORIGIN);
    if (!decoded.ok) throw new Error(JSON.stringify(decoded.diagnostics));
    return referencesOf(decoded.object);
  };
  const BACKEND = { service: { name: "cart", port: { number: 80 } } };
  const ORIGIN = { file: "f", line: 1, column: 1 };

  it("of Gateways and DestinationRules: a Secret wherever the proxy is, and its roots", () => {
    const port = { number: 443, name: "https", protocol: "HTTPS" };
    const servers = [{ port, hosts: ["*"], tls: { mode: "SIMPLE", credentialName: "site" } }];
    expect(of("Gateway", "networking.istio.io/v1", { selector: { a: "b" }, servers })).toEqual([
      "Secret//site",
      "Secret//site-cacert",
    ]);
    const trafficPolicy = {
      portLevelSettings: [{ port: { number: 1 }, tls: { mode: "MUTUAL", credentialName: "out" } }],
    };
    expect(of("DestinationRule", "networking.istio.io/v1", { host: "a", trafficPolicy })).toContain("Secret//out");
  });

  it("of the Gateway API and Ingress: by namespace", () => {
    const listener = (name: string, ref: object) => {
      const tls = { mode: "Terminate", certificateRefs: [ref] };
      return { name, hostname: `${name}.example`, port: 443, protocol: "HTTPS", tls };
    };
    const listeners = [listener("a", { name: "own" }), listener("b", { name: "far", namespace: "other" })];
    expect(of("Gateway", "gateway.networking.k8s.io/v1", { gatewayClassName: "istio", listeners })).toEqual([
      "Secret/ns/own",
      "Secret/other/far",
    ]);
    expect(
      of("Ingress", "networking.k8s.io/v1", { defaultBackend: BACKEND, tls: [{ hosts: ["a"], secretName: "cert" }] }),
    ).toEqual(["Secret/ns/cert"]);
  });

  it("of routes: nothing", () => {
    const http = [{ route: [{ destination: { host: "a" } }] }];
    expect(of("VirtualService", "networking.istio.io/v1", { hosts: ["a"], http })).toEqual([]);
  });
});
