import type { StatusReport } from "@lateen/local-runtime";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Outage, TestMachine } from "../testing/cli.ts";

// What loads the compiler and the data path takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let machine: TestMachine;
beforeEach(() => {
  machine = new TestMachine();
});
afterEach(() => machine.close());

const status: StatusReport = {
  version: "0.1.0",
  ready: true,
  revision: 7,
  mesh: "default",
  controlPlane: { ready: true, ports: { xds: 15012 } },
  workloads: [
    {
      namespace: "default",
      pod: "web-abc-12345",
      workload: "web",
      serviceAccount: "web",
      ready: true,
      address: "127.64.0.2",
      ports: [{ container: 9080, sidecar: 9080, private: 21000 }],
      synced: true,
      phase: "Running",
      reason: "",
      restarts: 0,
      createdAt: new Date().toISOString(),
    },
  ],
  gateways: [
    {
      namespace: "istio-system",
      name: "istio-ingressgateway",
      ports: [{ port: 8080, listen: 8080, host: "127.0.0.1" }],
      pod: "istio-ingressgateway-x",
      address: "127.64.0.3",
      ready: true,
      synced: true,
      reason: "",
    },
  ],
  rejected: [],
  warnings: [],
};

describe("status", () => {
  it("is a table for people", async () => {
    await machine.mesh({ "/status": status });
    const { code, out } = await machine.run(["status"]);
    expect(code).toBe(0);
    expect(out).toBe(`mesh default: ready, configuration revision 7

NAMESPACE   WORKLOAD   READY   SYNCED   RESTARTS   AGE   ADDRESS      PORTS         REASON
default     web        yes     yes      0          0s    127.64.0.2   9080->21000

NAMESPACE      GATEWAY                READY   SYNCED   PORTS                  REASON
istio-system   istio-ingressgateway   yes     yes      8080->127.0.0.1:8080
`);
  });

  it.each(["json", "yaml"])("is complete in %s", async (format) => {
    await machine.mesh({ "/status": status });
    const { out } = await machine.run(["status", "-o", format]);
    const { parse } = await import("yaml");
    expect(parse(out)).toEqual(status);
  });

  it("exits 69 while something is not ready, and shows what was rejected", async () => {
    const rejected = {
      kind: "Gateway",
      namespace: "default",
      name: "g",
      file: "g.yaml",
      line: 4,
      message: "no servers",
    };
    await machine.mesh({ "/status": { ...status, ready: false, rejected: [rejected] } });
    const { code, out } = await machine.run(["status"]);
    expect(code).toBe(69);
    expect(out).toContain("not ready");
    expect(out).toContain("g.yaml:4: Gateway default/g: no servers");
  });
});

const result = (action: string, errors: string[] = []) => ({
  kind: "VirtualService",
  namespace: "default",
  name: "reviews",
  action,
  file: "x",
  line: 1,
  errors,
  warnings: [],
});

describe("apply and delete", () => {
  it("says what became of each object, and waits for the proxies", async () => {
    machine.file("rule.yaml", "kind: VirtualService");
    await machine.mesh({
      "/config/apply": { revision: 8, results: [result("created")] },
      "/debug/wait?revision=8&timeoutMs=5000": { synced: true, laggards: [] },
    });
    expect(await machine.run(["apply", "-f", "rule.yaml", "--wait", "5s"])).toEqual({
      code: 0,
      out: "virtualservice.networking.istio.io/reviews created\n",
      err: "",
    });
    expect(machine.asked[0]).toContain('"text":"kind: VirtualService"');
  });

  it("names the proxies that have not acknowledged in time, with 69", async () => {
    machine.file("rule.yaml", "kind: VirtualService");
    await machine.mesh({
      "/config/apply": { revision: 8, results: [result("configured")] },
      "/debug/wait?revision=8&timeoutMs=30000": { synced: false, laggards: ["web-1.default"] },
    });
    const { code, err } = await machine.run(["apply", "-f", "rule.yaml", "--wait"]);
    expect(code).toBe(69);
    expect(err).toContain("web-1.default");
  });

  it("exits 65 when an object was rejected, with the reason relative to where the user is", async () => {
    machine.file("rule.yaml", "kind: VirtualService");
    const message = `${machine.folder}/rule.yaml:3:1: unknown field`;
    await machine.mesh({ "/config/apply": { revision: 8, results: [result("rejected", [message])] } });
    expect(await machine.run(["apply", "-f", "rule.yaml"])).toEqual({
      code: 65,
      out: "",
      err: "error: VirtualService default/reviews: rule.yaml:3:1: unknown field\n",
    });
  });

  it.each([
    [["delete", "vs", "reviews"]],
    [["delete", "VirtualService/reviews"]],
    [["delete", "virtualservices.networking.istio.io", "reviews", "-n", "default"]],
  ])("%j names one object", async (argv) => {
    await machine.mesh({ "/config/delete": { revision: 9, results: [result("deleted")] } });
    expect(await machine.run(argv)).toMatchObject({
      code: 0,
      out: "virtualservice.networking.istio.io/reviews deleted\n",
    });
    expect(machine.asked).toEqual([
      'POST /config/delete {"objects":[{"kind":"VirtualService","namespace":"default","name":"reviews"}],"takeOver":false}',
    ]);
  });

  it("reports what is not there, unless told to ignore it", async () => {
    await machine.mesh({ "/config/delete": { revision: 9, results: [result("notFound")] } });
    expect(await machine.run(["delete", "vs", "reviews"])).toMatchObject({ code: 65 });
    expect(await machine.run(["delete", "vs", "reviews", "--ignore-not-found"])).toMatchObject({ code: 0 });
  });
});

describe("get", () => {
  const object = {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "reviews", namespace: "default" },
    spec: { hosts: ["reviews"], gateways: ["mesh"] },
  };
  const listed = { revision: 7, objects: [{ object, file: "rule.yaml", line: 3, revision: 5 }] };

  it("shows objects with kubectl's columns and where they come from", async () => {
    await machine.mesh({ "/config/objects": listed, "/config/rejected": { rejected: [] }, "/status": status });
    expect((await machine.run(["get", "vs"])).out).toBe(
      `NAMESPACE   NAME      GATEWAYS   HOSTS         AGE   SOURCE
default     reviews   ["mesh"]   ["reviews"]         rule.yaml:3
`,
    );
  });

  it("shows one object with conditions, also that a newer version was rejected", async () => {
    const refusal = {
      kind: "VirtualService",
      namespace: "default",
      name: "reviews",
      diagnostics: [{ level: "error", message: "no hosts" }],
    };
    await machine.mesh({ "/config/objects": listed, "/config/rejected": { rejected: [refusal] }, "/status": status });
    const { out } = await machine.run(["get", "vs", "reviews", "-o", "json"]);
    expect(JSON.parse(out)).toMatchObject({
      ...object,
      status: {
        observedRevision: 5,
        conditions: [
          { type: "Accepted", status: "False", message: "the last good version is in force: no hosts" },
          { type: "Reconciled", status: "True" },
        ],
      },
    });
  });

  it("tells the two kinds of Gateway apart, and shows what the control plane says of a Gateway API one", async () => {
    const api = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name: "gw", namespace: "default" },
      spec: { gatewayClassName: "istio" },
    };
    const istio = { ...api, apiVersion: "networking.istio.io/v1", spec: {} };
    const entry = { file: "gw.yaml", line: 1, revision: 5 };
    const programmed = { type: "Programmed", status: "False", reason: "AddressNotAssigned", message: "" };
    const accepted = { type: "Accepted", status: "True", reason: "Accepted", message: "" };
    await machine.mesh({
      "/config/objects": { revision: 7, objects: [api, istio].map((object) => ({ object, ...entry })) },
      "/config/rejected": { rejected: [] },
      "/status": status,
      "/debug/statusz": { statuses: { "KubernetesGateway/default/gw": { conditions: [accepted, programmed] } } },
    });
    const { out } = await machine.run(["get", "gtw", "gw", "-o", "json"]);
    expect(JSON.parse(out)).toMatchObject({
      ...api,
      status: { conditions: [accepted, programmed, { type: "Reconciled" }] },
    });
    expect((await machine.run(["get", "gw", "gw", "-o", "json"])).out).toContain("networking.istio.io/v1");
    expect((await machine.run(["get", "gateways.gateway.networking.k8s.io"])).out).toBe(
      `NAMESPACE   NAME   CLASS   ADDRESS   PROGRAMMED   AGE   SOURCE
default     gw     istio             False              gw.yaml:1
`,
    );
  });

  it("exits 65 for an object that is not there", async () => {
    await machine.mesh({ "/config/objects": listed, "/config/rejected": { rejected: [] }, "/status": status });
    expect(await machine.run(["get", "vs", "nope"])).toMatchObject({ code: 65, out: "" });
  });
});

describe("proxy-status and proxy-config", () => {
  const type = (name: string) => `type.googleapis.com/envoy.config.${name}`;

  it("shows istioctl's columns", async () => {
    const done = { sent: "3", acked: "3", resources: 2 };
    const proxy = {
      node: "sidecar~1~web-abc-12345.default~d",
      pod: "web-abc-12345",
      namespace: "default",
      version: "1.27.0",
      synced: false,
      types: {
        [type("cluster.v3.Cluster")]: done,
        [type("listener.v3.Listener")]: { ...done, sent: "4" },
        [type("route.v3.RouteConfiguration")]: { ...done, nack: { message: "bad route" } },
      },
    };
    await machine.mesh({ "/debug/syncz": { proxies: [proxy] } });
    const { out } = await machine.run(["proxy-status", "web"]);
    expect(out).toBe(
      `NAME                    CLUSTER   CDS      LDS     EDS        RDS     NDS        ISTIOD          VERSION
web-abc-12345.default   local     SYNCED   STALE   NOT SENT   ERROR   NOT SENT   control-plane   1.27.0

web-abc-12345.default refused RouteConfiguration: bad route
`,
    );
    expect((await machine.run(["proxy-status", "nobody"])).code).toBe(65);
  });

  it("prints the bootstrap for a stock Envoy as EnvoyFilters patch it", async () => {
    const node = {
      id: "router~10.1.0.1~front.default~default.svc.cluster.local",
      metadata: { NAMESPACE: "default", LABELS: { app: "front" } },
    };
    const filter = {
      apiVersion: "networking.istio.io/v1alpha3",
      kind: "EnvoyFilter",
      metadata: { name: "flush", namespace: "istio-system" },
      spec: {
        configPatches: [
          {
            applyTo: "BOOTSTRAP",
            match: { context: "GATEWAY" },
            patch: { operation: "MERGE", value: { stats_flush_interval: "7s" } },
          },
        ],
      },
    };
    await machine.mesh({
      "/pods/front/agent": { folder: "/f", socket: "/s", envoy: { node }, grpc: { xds_servers: [] } },
      "/config/objects": { revision: 1, objects: [{ object: filter, file: "a.yaml", line: 1, revision: 1 }] },
      "/status": status,
    });
    const { code, out } = await machine.run(["proxy-config", "bootstrap", "front", "--stock"]);
    expect([code, JSON.parse(out)]).toEqual([0, { node, stats_flush_interval: "7s" }]);
  });

  const dump = (camel: boolean) => {
    const key = (name: string) => (camel ? name : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
    const cluster = {
      name: "outbound|9080|v1|reviews.default.svc.cluster.local",
      type: "EDS",
      metadata: {
        [key("filterMetadata")]: {
          istio: { config: "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews" },
        },
      },
    };
    const route = {
      name: "9080",
      [key("virtualHosts")]: [
        {
          name: "reviews:9080",
          domains: ["reviews", "reviews.default", "reviews.default.svc", "10.96.0.1"],
          routes: [{ match: { prefix: "/" } }, { match: { path: "/x", headers: [{}] } }],
        },
      ],
    };
    return {
      configs: [
        {
          "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
          [key("dynamicActiveClusters")]: [{ cluster }],
        },
        {
          "@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
          [key("dynamicRouteConfigs")]: [{ [key("routeConfig")]: route }],
        },
      ],
    };
  };
  const path = "/pods/web/admin/config_dump?include_eds";

  it.each([true, false])("reads both spellings of a dump (camelCase: %s)", async (camel) => {
    await machine.mesh({ [path]: dump(camel) });
    expect((await machine.run(["proxy-config", "cluster", "web"])).out).toBe(
      `SERVICE FQDN                        PORT   SUBSET   DIRECTION   TYPE   DESTINATION RULE
reviews.default.svc.cluster.local   9080   v1       outbound    EDS    reviews.default
`,
    );
    expect((await machine.run(["proxy-config", "route", "web"])).out).toBe(
      `NAME   VHOST NAME     DOMAINS                                MATCH              VIRTUAL SERVICE
9080   reviews:9080   reviews, reviews.default + 2 more...   /*
9080   reviews:9080   reviews, reviews.default + 2 more...   /x +1 conditions
`,
    );
  });

  it("filters clusters as istioctl does", async () => {
    await machine.mesh({ [path]: dump(true) });
    const count = async (...flags: readonly string[]) =>
      (JSON.parse((await machine.run(["pc", "cluster", "web", "-o", "json", ...flags])).out) as unknown[]).length;
    expect(await count("--fqdn", "reviews.default.svc.cluster.local", "--port", "9080", "--subset", "v1")).toBe(1);
    expect(await count("--direction", "inbound")).toBe(0);
  });

  it("says what is down, and exits 69", async () => {
    await machine.mesh({ [path]: new Outage({ code: "LTN7005", message: "it does not answer", hint: "wait" }) });
    const { code, err } = await machine.run(["proxy-config", "cluster", "web"]);
    expect(code).toBe(69);
    expect(err).toBe("error: it does not answer (LTN7005)\n  wait\n");
  });

  it("passes the mesh's refusal on", async () => {
    await machine.mesh({});
    expect(await machine.run(["proxy-config", "cluster", "nobody"])).toMatchObject({ code: 65 });
  });
});
