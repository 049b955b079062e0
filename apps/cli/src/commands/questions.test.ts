import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { TestMachine } from "../testing/cli.ts";

// The first question loads the whole data path, which a busy machine takes its time for.
vi.setConfig({ testTimeout: 60_000 });

const deployment = (name: string, version: string) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}-${version} }
spec:
  selector: { matchLabels: { app: ${name}, version: ${version} } }
  template:
    metadata: { labels: { app: ${name}, version: ${version} } }
    spec: { serviceAccountName: ${name}, containers: [{ name: app, ports: [{ containerPort: 9080 }] }] }
---
`;
const service = (name: string) => `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 9080 }] }
---
`;
const WORLD = `${deployment("web", "v1")}${deployment("reviews", "v1")}${deployment("reviews", "v2")}${service("web")}${service("reviews")}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - match: [{ headers: { end-user: { exact: tester } } }]
      route: [{ destination: { host: reviews, subset: v2 } }]
    - route: [{ destination: { host: reviews, subset: v1 } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-admin }
spec:
  selector: { matchLabels: { app: reviews } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict }
spec: { mtls: { mode: STRICT } }
`;

let machine: TestMachine;
beforeAll(async () => {
  machine = new TestMachine();
  machine.file("mesh/world.yaml", WORLD);
  // Commands load what they need when they run; on a busy machine the first would take too long for one test.
  await import("@lateen/simulate");
}, 120_000);
afterAll(() => machine.close());

describe("route test", () => {
  const ask = (request: string, ...more: string[]) =>
    machine.run(["route", "test", "-f", "mesh", "--from", "web-v1", "--request", request, ...more]);

  it("explains where a request goes, with the objects responsible", async () => {
    const { code, out } = await ask("GET http://reviews:9080/x", "-H", "End-User: tester");
    expect(code).toBe(0);
    expect(out).toMatch(/route +unnamed +\(VirtualService default\/reviews http\[0\]\)/);
    expect(out).toMatch(/cluster +outbound\|9080\|v2\|.+\(DestinationRule default\/reviews\)/);
    expect(out.trim().split("\n").at(-1)).toBe("outbound|9080|v2|reviews.default.svc.cluster.local");
  });

  it("gives all of it as JSON", async () => {
    const { out } = await ask("http://reviews:9080/admin", "-o", "json");
    const answer = JSON.parse(out) as { verdict: string; servers: { trace: { policies: unknown[] } }[] };
    expect(answer.verdict).toContain("403 at default/reviews-v1: AuthorizationPolicy default/no-admin rule[0]");
    expect(answer.servers[0]?.trace.policies.at(-1)).toMatchObject({ allowed: false, action: "deny" });
  });

  it.each([
    [["--from", "nobody", "--request", "http://a/"], 65, 'no workload "nobody"'],
    [["--from", "web-v1", "--request", "reviews"], 64, "not of the form"],
    [["--from", "web-v1", "--request", "http://a/", "-H", "x"], 64, "name: value"],
  ])("refuses %j", async (args, code, said) => {
    const outcome = await machine.run(["route", "test", "-f", "mesh", ...args]);
    expect(outcome.code).toBe(code);
    expect(outcome.err).toContain(said);
  });
});

describe("describe", () => {
  it("tells what applies to a pod", async () => {
    const { code, out } = await machine.run(["describe", "pod", "reviews-v2", "-f", "mesh"]);
    expect(code).toBe(0);
    expect(out).toContain("Proxy: sidecar as spiffe://cluster.local/ns/default/sa/reviews");
    expect(out).toContain("Accepts: mTLS STRICT (PeerAuthentication default/strict)");
    expect(out).toContain("AuthorizationPolicy: default/no-admin (DENY)");
    expect(out).toContain("  VirtualService: default/reviews (decides for this host, for mesh)");
    expect(out).toContain("  DestinationRule: default/reviews (subset v2)");
  });

  it("names the gateways that lead to a service, and not those that only share a wildcard", async () => {
    const vs = (name: string, host: string) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec: { hosts: ["*"], gateways: [front], http: [{ route: [{ destination: { host: ${host} } }] }] }
`;
    machine.file("gateways/world.yaml", WORLD + vs("to-reviews", "reviews") + vs("to-web", "web"));
    const { out } = await machine.run(["describe", "service", "reviews", "-f", "gateways"]);
    expect(out).toContain("VirtualService: default/to-reviews (leads here, for front)");
    expect(out).not.toContain("to-web");
  });

  it("tells of every kind that is for a pod, and of routes of the Gateway API", async () => {
    const selector = "selector: { matchLabels: { app: web } }";
    const object = (group: string, kind: string, name: string, spec: string) =>
      `---\napiVersion: ${group}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
    machine.file(
      "kinds/world.yaml",
      WORLD +
        object(
          "security.istio.io/v1",
          "RequestAuthentication",
          "jwt",
          `{ ${selector}, jwtRules: [{ issuer: "https://i" }] }`,
        ) +
        object(
          "security.istio.io/v1",
          "AuthorizationPolicy",
          "gw",
          "{ targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: front }], rules: [{}] }",
        ) +
        object("telemetry.istio.io/v1", "Telemetry", "logs", "{ accessLogging: [{ providers: [{ name: envoy }] }] }") +
        object("networking.istio.io/v1beta1", "ProxyConfig", "two", `{ ${selector}, concurrency: 2 }`) +
        object(
          "gateway.networking.k8s.io/v1",
          "HTTPRoute",
          "mesh-route",
          "{ parentRefs: [{ group: '', kind: Service, name: web }], rules: [{ backendRefs: [{ name: reviews, port: 9080 }] }] }",
        ),
    );
    const { out } = await machine.run(["describe", "pod", "web-v1", "-f", "kinds"]);
    expect(out).toContain("RequestAuthentication: default/jwt (https://i)");
    expect(out).toContain("Telemetry: default/logs (accessLogging)");
    expect(out).toContain("ProxyConfig: default/two");
    expect(out).toContain("HTTPRoute: default/mesh-route (decides for this host, for mesh)");
    expect(out).not.toContain("AuthorizationPolicy: default/gw");
  });

  it("tells what applies to a service", async () => {
    const { out } = await machine.run(["describe", "service", "reviews", "-f", "mesh", "-o", "json"]);
    expect(JSON.parse(out)).toMatchObject({
      hosts: ["reviews.default.svc.cluster.local"],
      ports: ["http 9080 → 9080 (HTTP)"],
      endpoints: [{ pod: "reviews-v1", mode: "STRICT" }, { pod: "reviews-v2" }],
      rules: [{ kind: "VirtualService" }, { kind: "DestinationRule", note: "subset v1, v2" }],
    });
  });

  it("knows no service that is not there", async () => {
    const { code, err } = await machine.run(["describe", "service", "nobody", "-f", "mesh"]);
    expect([code, err]).toEqual([65, expect.stringContaining("no service nobody in namespace default")]);
  });
});

describe("analyze", () => {
  const LOST = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: lost }
spec:
  hosts: [lost]
  http:
    - route: [{ destination: { host: nowhere } }]
`;

  it("prints istioctl's JSON and ends with 79", async () => {
    machine.file("lost.yaml", LOST);
    const { code, out } = await machine.run(["analyze", "lost.yaml", "-o", "json"]);
    expect(code).toBe(79);
    expect(JSON.parse(out)).toContainEqual({
      code: "IST0101",
      level: "Error",
      origin: "VirtualService default/lost",
      message: expect.stringContaining("nowhere"),
      reference: "lost.yaml:7",
      documentationUrl: "https://istio.io/latest/docs/reference/config/analysis/ist0101/",
    });
  });

  it("reports objects that are wrong by themselves", async () => {
    const { code, out } = await machine.run(["analyze", "-", "-o", "json"], { input: LOST.replace("http:", "htp:") });
    expect(code).toBe(79);
    expect(JSON.parse(out)).toContainEqual(
      expect.objectContaining({ code: "IST0106", level: "Error", reference: "<stdin>:6" }),
    );
  });

  it.each([
    [["--suppress", "IST0101=VirtualService lost.default"], 0],
    [["-S", "*=Virtual* *.default"], 0],
    [["-S", "IST0101=VirtualService other.default"], 79],
  ])("takes %j", async (args, code) => {
    expect((await machine.run(["analyze", "lost.yaml", ...args])).code).toBe(code);
  });

  it("is content with a sound mesh, and fails at the threshold only", async () => {
    machine.file("sound/world.yaml", WORLD);
    const sound = await machine.run(["analyze", "sound"]);
    expect([sound.code, sound.out]).toEqual([0, "✔ No validation issues found when analyzing sound/world.yaml.\n"]);
    const unnamed = service("web").replace("name: http, ", "name: www, ") + deployment("web", "v1");
    const info = await machine.run(["analyze", "-"], { input: unnamed });
    expect(info.out).toMatch(/^Info \[IST0118\] \(Service default\/web <stdin>:\d+\)/);
    expect(info.code).toBe(0);
    expect((await machine.run(["analyze", "-", "--failure-threshold", "Info"], { input: unnamed })).code).toBe(79);
  });

  it("refuses a suppression that is none", async () => {
    const { code, err } = await machine.run(["analyze", "lost.yaml", "-S", "IST0101"]);
    expect([code, err]).toEqual([64, expect.stringContaining("not a suppression")]);
  });
});
