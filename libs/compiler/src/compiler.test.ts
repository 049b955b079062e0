import { defaultMeshConfig, type ResourceKey } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { type Compiler, createCompiler } from "./compiler.ts";
import type { XdsNode } from "./node.ts";
import { typeUrls } from "./resource.ts";
import { envoyFilter, patch } from "./testing/extensions.ts";
import { compilerFor, nodeOf, objectsFrom, pod, service } from "./testing/mesh.ts";

const SERVICES = Array.from({ length: 30 }, (_, index) => service(`s${index}`, `10.0.1.${index}`, ["http:80"])).join(
  "",
);
const PODS = Array.from({ length: 30 }, (_, index) =>
  pod(`s${index}-1`, `10.1.1.${index}`, { app: `s${index}` }, { account: "one" }),
).join("");

function virtualService(name: string, subset: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec: { hosts: [${name}], http: [{ route: [{ destination: { host: ${name}, subset: ${subset} } }] }] }
---`;
}
const everything = (compiler: Compiler, node: XdsNode) =>
  Object.values(typeUrls).map((url) => compiler.resources(node, url));
const client = nodeOf({ labels: { app: "s0" } });

/** Queries that ran while this happened, by name. */
function work(compiler: Compiler, during: () => void): Readonly<Record<string, number>> {
  const before = compiler.stats().computed;
  during();
  const after = compiler.stats().computed;
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}

describe("sharing", () => {
  it("replicas get the identical maps, whatever their address, pod and unmentioned labels", () => {
    const compiler = compilerFor(objectsFrom(SERVICES, PODS));
    const one = nodeOf({ labels: { app: "s0", "pod-template-hash": "1" } });
    const other = { ...one, address: "10.9.9.9", pod: "else", labels: { app: "s0", "pod-template-hash": "2" } };
    everything(compiler, one).forEach((map, index) => {
      expect(everything(compiler, other)[index]).toBe(map);
    });
  });

  it("different workloads of a namespace share what they ask of others", () => {
    const compiler = compilerFor(objectsFrom(SERVICES, PODS));
    const a = compiler.resources(nodeOf({ labels: { app: "s0" } }), typeUrls.route);
    const b = compiler.resources(nodeOf({ labels: { app: "s1" } }), typeUrls.route);
    expect(a).toBe(b);
  });

  it("namespaces share resources that come out the same", () => {
    const compiler = compilerFor(objectsFrom(SERVICES, PODS));
    const name = "outbound|80||s3.default.svc.cluster.local";
    const here = compiler.resources(client, typeUrls.cluster).get(name);
    const there = compiler.resources(nodeOf({ namespace: "other" }), typeUrls.cluster).get(name);
    expect(here).toBe(there);
  });
});

describe("a change", () => {
  it("of nothing leaves every map as it is, and runs no query", () => {
    const compiler = compilerFor(objectsFrom(SERVICES, PODS));
    const before = everything(compiler, client);
    expect(
      work(compiler, () => {
        compiler.apply({ upserted: objectsFrom(SERVICES, PODS), removed: ["Service/default/never" as ResourceKey] });
        everything(compiler, client).forEach((map, index) => {
          expect(map).toBe(before[index]);
        });
      }),
    ).toEqual({});
    expect(compiler.revision).toBe(2);
  });

  it("of one endpoint touches the endpoints of one service", () => {
    const compiler = compilerFor(objectsFrom(SERVICES, PODS));
    const before = Object.fromEntries(
      Object.entries(typeUrls).map(([type, url]) => [type, compiler.resources(client, url)]),
    );
    const ran = work(compiler, () => {
      compiler.apply({
        upserted: objectsFrom(pod("s3-2", "10.1.2.3", { app: "s3" }, { account: "one" })),
        removed: [],
      });
      for (const [type, url] of Object.entries(typeUrls)) {
        const now = compiler.resources(client, url);
        if (type === "endpoint") expect(now).not.toBe(before[type]);
        else expect(now).toBe(before[type]);
      }
    });
    expect(ran).toMatchObject({ endpoints: 1, serviceEndpoints: 1 });
    expect(Object.values(ran).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(8);
  });

  it("of one endpoint looks at what belongs to it, however large the mesh is", { timeout: 60_000 }, () => {
    const looked = (services: number) => {
      const numbers = Array.from({ length: services }, (_, at) => at);
      const addressOf = (at: number) => `10.2.${at >> 8}.${at & 255}`;
      const podOf = (at: number, ip: string) => pod(`s${at}-1`, ip, { app: `s${at}`, version: "v1" });
      const compiler = compilerFor(
        objectsFrom(
          ...numbers.map((at) => service(`s${at}`, `10.3.${at >> 8}.${at & 255}`, ["http:80"])),
          ...numbers.map((at) => podOf(at, addressOf(at))),
        ),
      );
      const ask = () => {
        compiler.content(client);
        everything(compiler, client);
      };
      ask();
      const before = compiler.stats().looked;
      compiler.apply({ upserted: objectsFrom(podOf(7, "10.4.0.1")), removed: [] });
      ask();
      return compiler.stats().looked - before;
    };
    const [small, large] = [looked(64), looked(384)];
    // One of the 64 parts that endpoints are kept in is gone through, with one service of 64 in it or six of 384, give or take.
    expect(small).toBeLessThan(250);
    expect(large - small).toBeLessThan(30);
  });

  it("of one rule touches the routes of its port", () => {
    const compiler = compilerFor(objectsFrom(SERVICES, PODS, virtualService("s3", "v1")));
    const before = Object.fromEntries(
      Object.entries(typeUrls).map(([type, url]) => [type, compiler.resources(client, url)]),
    );
    const ran = work(compiler, () => {
      compiler.apply({ upserted: objectsFrom(virtualService("s3", "v2")), removed: [] });
      for (const [type, url] of Object.entries(typeUrls)) {
        const now = compiler.resources(client, url);
        if (type === "route") expect(now).not.toBe(before[type]);
        else expect(now).toBe(before[type]);
      }
    });
    expect(ran.clusters).toBeUndefined();
    expect(ran.serviceEndpoints).toBeUndefined();
    expect(ran.routeConfig).toBe(1);
  });

  it("of one rule among many recomputes one virtual host for each kind of client, and what holds it", () => {
    const numbers = Array.from({ length: 60 }, (_, at) => at);
    const rule = (at: number, timeout: string, exportTo = "*") =>
      `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: many-${at}, namespace: default }
spec: { hosts: [many-${at}], exportTo: ["${exportTo}"], http: [{ timeout: ${timeout}, route: [{ destination: { host: many-${at} } }] }] }`;
    const compiler = compilerFor([
      ...objectsFrom(...numbers.map((at) => service(`many-${at}`, `10.2.0.${at}`, ["http:80"]))),
      ...objectsFrom(...numbers.map((at) => rule(at, "1s"))),
    ]);
    const nodes = [client, nodeOf({ namespace: "other" }), nodeOf({ namespace: "third" })];
    for (const node of nodes) everything(compiler, node);
    const changed = (text: string) => {
      const before = nodes.map((node) => compiler.content(node));
      const ran = work(compiler, () => {
        compiler.apply({ upserted: objectsFrom(text), removed: [] });
        for (const node of nodes) everything(compiler, node);
      });
      return { ran, reached: nodes.map((node, at) => compiler.content(node) !== before[at]) };
    };
    const all = changed(rule(7, "2s"));
    expect(all.ran).toMatchObject({ httpRule: 3, virtualHost: 3, routeConfig: 3 });
    for (const untouched of ["visibility", "visibleServices", "l4RulesOnPort", "clusters", "listener"]) {
      expect(all.ran[untouched]).toBeUndefined();
    }
    expect(all.reached).toEqual([true, true, true]);
    changed(rule(8, "1s", "."));
    const own = changed(rule(8, "2s", "."));
    expect(own.ran).toMatchObject({ virtualHost: 1, routeConfig: 1 });
    expect(own.reached).toEqual([true, false, false]);
  });

  it("of the mesh configuration reaches everybody", () => {
    const compiler = compilerFor([]);
    const before = compiler.resources(client, typeUrls.listener).get("virtualOutbound");
    compiler.apply({
      upserted: [],
      removed: [],
      meshConfig: defaultMeshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }),
    });
    expect(compiler.resources(client, typeUrls.listener).get("virtualOutbound")?.version).not.toBe(before?.version);
  });

  it("of objects that come and go leaves nothing behind", { timeout: 60_000 }, () => {
    const compiler = compilerFor([]);
    everything(compiler, client);
    const empty = compiler.stats().memos;
    for (let round = 0; round < 400; round++) {
      compiler.apply({ upserted: objectsFrom(service(`t${round}`, "10.0.0.9", ["http:80"])), removed: [] });
      everything(compiler, client);
      compiler.apply({ upserted: [], removed: [`Service/default/t${round}` as ResourceKey] });
      everything(compiler, client);
    }
    expect(compiler.stats().memos).toBeLessThan(empty + 1500);
  });
});

describe("what is compiled for nobody", () => {
  it("is forgotten on demand, and only that", () => {
    const compiler = compilerFor(objectsFrom(SERVICES, PODS));
    const before = everything(compiler, client);
    compiler.retain([client]);
    const own = compiler.stats().memos;
    for (let stranger = 0; stranger < 20; stranger++) everything(compiler, nodeOf({ namespace: `n${stranger}` }));
    expect(compiler.kinds).toBe(21);
    expect(compiler.stats().memos).toBeGreaterThan(own + 100);
    compiler.retain([client]);
    expect(compiler.kinds).toBe(1);
    expect(compiler.stats().memos).toBeLessThanOrEqual(own);
    const ran = work(compiler, () =>
      everything(compiler, client).forEach((map, index) => {
        expect(map).toBe(before[index]);
      }),
    );
    expect(ran).toEqual({});
  });
});

describe("resources", () => {
  it("of an unknown type, or of names that do not exist, are none", () => {
    const compiler = compilerFor(objectsFrom(SERVICES));
    expect(compiler.resources(client, "type.googleapis.com/unknown").size).toBe(0);
    const names = new Set(["outbound|80||nobody.default.svc.cluster.local", "inbound|80||", "x", "http.80"]);
    for (const url of [typeUrls.endpoint, typeUrls.route]) expect(compiler.resources(client, url, names).size).toBe(0);
  });

  it("have the same version for the same content, in every compiler", () => {
    const versions = () =>
      everything(compilerFor(objectsFrom(SERVICES, PODS)), client).map((map) =>
        [...map].map(([name, { version }]) => [name, version]),
      );
    expect(versions()).toEqual(versions());
  });
});

describe("warnings", () => {
  it("name HTTP rules for ports that proxies without HTTP/2 carry as bytes", () => {
    const compiler = createCompiler({ meshConfig: defaultMeshConfig(), clusterId: "test" });
    compiler.apply({
      upserted: objectsFrom(
        service("grpc", "10.0.0.1", ["grpc:90"]),
        virtualService("grpc", "v1"),
        virtualService("s1", "v1"),
      ),
      removed: [],
    });
    expect(compiler.warnings().map(({ code, message }) => `${code} ${message}`)).toEqual([
      "LTN3103 VirtualService/default/grpc: port 90 of grpc.default.svc.cluster.local is GRPC: proxies without HTTP/2 forward it as TCP, and these rules do not apply there",
    ]);
  });
});

describe("extensions of proxies", () => {
  const timeout = (name: string, value: string, labels: string) =>
    envoyFilter(
      name,
      [
        patch(
          "CLUSTER",
          "MERGE",
          "{ cluster: { service: s3.default.svc.cluster.local } }",
          `{ connect_timeout: ${value} }`,
        ),
      ],
      {
        selects: `workloadSelector: { labels: ${labels} },`,
      },
    );
  const objects = objectsFrom(SERVICES, PODS, timeout("a", "1s", "{ app: s0 }"), timeout("b", "1s", "{ app: s1 }"));
  const one = nodeOf({ envoy: true, labels: { app: "s0" } });
  const other = nodeOf({ envoy: true, labels: { app: "s1" } });
  const apart = nodeOf({ envoy: true, namespace: "other", labels: { app: "s0" } });

  it("a change of one touches only the proxies that it selects, and of those only what it is about", () => {
    const compiler = compilerFor(objects);
    const before = [one, other, apart].map((node) => compiler.content(node));
    const clusters = compiler.resources(one, typeUrls.cluster);
    const done = work(compiler, () => {
      compiler.apply({ upserted: objectsFrom(timeout("a", "2s", "{ app: s0 }")), removed: [] });
      const after = [one, other, apart].map((node) => compiler.content(node));
      expect(after.map((content, index) => content === before[index])).toEqual([false, true, true]);
    });
    const name = "outbound|80||s3.default.svc.cluster.local";
    const changed = [...compiler.resources(one, typeUrls.cluster)].filter(
      ([key, value]) => clusters.get(key) !== value,
    );
    expect(changed.map(([key]) => key)).toEqual([name]);
    expect(done).toMatchObject({ patchesOfFilter: 1, scopePatches: 2, patchedOutboundClusters: 1 });
    expect(done.clustersOfPort).toBeUndefined();
    expect(done.outboundClusters).toBeUndefined();
  });

  it("of a thousand patched clusters, a change of one patches one", () => {
    const compiler = compilerFor(objects);
    compiler.content(one);
    const done = work(compiler, () => {
      compiler.apply({ upserted: objectsFrom(service("s3", "10.0.9.9", ["http:80", "http-b:81"])), removed: [] });
      compiler.content(one);
    });
    // The service's two clusters and its routes and listener; the other 29 services are as they were.
    expect(done.patchedResource).toBeLessThan(10);
  });

  it("replicas that are patched alike share everything", () => {
    const compiler = compilerFor(objects);
    const replica = { ...one, address: "10.9.9.9", pod: "else" };
    everything(compiler, one).forEach((map, index) => {
      expect(everything(compiler, replica)[index]).toBe(map);
    });
  });
});
