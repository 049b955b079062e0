import type { StatusReport } from "@lateen/local-runtime";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Outage, TestMachine } from "../testing/cli.ts";

// Commands load what they need when they run; on a busy machine the first would take too long for one test.
beforeAll(() => import("@lateen/simulate").then(() => undefined), 120_000);

let machine: TestMachine;
beforeEach(() => {
  machine = new TestMachine();
});
afterEach(() => machine.close());

const POLICY = `apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: viewer, namespace: shop }
spec:
  rules:
    - to: [{ operation: { methods: [GET] } }]
    - to: [{ operation: { methods: [HEAD] } }]
`;

const record = {
  requestId: "abc-1",
  startTimeMs: 1000,
  durationMs: 2,
  direction: "inbound",
  listener: "virtualInbound",
  chain: "",
  protocol: "HTTP/1.1",
  method: "POST",
  authority: "cart",
  path: "/x",
  status: 403,
  grpcStatus: -1,
  flags: "",
  details: "rbac_access_denied_matched_policy[none]",
  answeredBy: "proxy",
  candidates: ["ns[shop]-policy[viewer]-rule[1]", "ns[shop]-policy[gone]-rule[0]"],
  client: { address: "10.0.0.1" },
  destination: "10.0.0.2:80",
};

const pod = { namespace: "shop", pod: "cart-1" };
const gateway = { namespace: "istio-system", pod: "gw-1" };
const status = { workloads: [pod], gateways: [gateway] } as unknown as StatusReport;

function meshWith(file: string, line: number, requests: readonly object[], path: string) {
  const object = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "viewer", namespace: "shop" },
  };
  return machine.mesh({
    "/status": status,
    "/config/objects": { revision: 1, objects: [{ object, file, line, revision: 1 }] },
    [`/pods/cart-1.shop/admin/requests?${path}`]: { requests },
    [`/pods/gw-1.istio-system/admin/requests?${path}`]: { requests: [] },
  });
}

describe("explain ID", () => {
  it("names the line of the rule", async () => {
    machine.file("mesh/policy.yaml", POLICY);
    await meshWith(`${machine.folder}/mesh/policy.yaml`, 5, [record], "id=abc&limit=100");
    const { code, out } = await machine.run(["explain", "abc"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^request abc-1: POST cart\/x -> 403\n/);
    expect(out).toContain("because: none of the ALLOW policies matches, at shop/cart-1\n");
    expect(out).toContain("  AuthorizationPolicy shop/viewer rule[1], mesh/policy.yaml:11\n");
    expect(out).toContain("  AuthorizationPolicy shop/gone rule[0]\n");
  });

  it("names the line of the object when its file is gone", async () => {
    await meshWith("/nowhere/policy.yaml", 5, [record], "id=abc-1&limit=100");
    const { out } = await machine.run(["explain", "abc-1", "-o", "json"]);
    expect(JSON.parse(out)).toMatchObject({
      requestId: "abc-1",
      status: 403,
      because: {
        proxy: "shop/cart-1",
        details: "rbac_access_denied_matched_policy[none]",
        objects: [
          { object: "AuthorizationPolicy shop/viewer rule[1]", place: "/nowhere/policy.yaml:5" },
          { object: "AuthorizationPolicy shop/gone rule[0]", place: null },
        ],
      },
      hops: [{ proxy: "shop/cart-1", record }],
    });
  });

  it("says what to do about a request that nobody remembers", async () => {
    await meshWith("f", 1, [], "id=abc&limit=100");
    const { code, err } = await machine.run(["explain", "abc"]);
    expect(code).toBe(65);
    expect(err).toContain('no proxy remembers request "abc"');
    expect(err).toContain("explain --record 60");
  });

  it("wants more of an id that several begin with", async () => {
    await meshWith("f", 1, [record, { ...record, requestId: "abc-2" }], "id=abc&limit=100");
    const { code, err } = await machine.run(["explain", "abc"]);
    expect(code).toBe(64);
    expect(err).toContain("abc-1, abc-2");
  });

  it("goes on without a proxy that does not answer, and says so", async () => {
    await machine.mesh({
      "/status": status,
      "/config/objects": { revision: 1, objects: [] },
      "/pods/cart-1.shop/admin/requests?id=abc&limit=100": { requests: [record] },
      "/pods/gw-1.istio-system/admin/requests?id=abc&limit=100": new Outage({
        code: "proxy_unavailable",
        message: "refused",
      }),
    });
    const { code, err } = await machine.run(["explain", "abc"]);
    expect(code).toBe(0);
    expect(err).toBe("warning: istio-system/gw-1: refused\n");
  });
});

describe("a connection", () => {
  const broken = {
    ...{ connectionId: 4711, earlierIds: [4700], times: 2, startTimeMs: 3000, durationMs: 0, kind: "policy" },
    ...{ direction: "inbound", listener: "virtualInbound", chain: "", flags: "" },
    ...{ details: "rbac_access_denied_matched_policy[x]", because: "ns[shop]-policy[viewer]-rule[1]" },
    ...{ client: { address: "10.0.0.1", port: 4000 }, destination: "10.0.0.2:80", bytesReceived: 0, bytesSent: 0 },
    offered: { tls: false, serverName: "", protocols: [] },
  };
  const remembering = (path: string, more: object) =>
    machine.mesh({
      "/status": { ...status, gateways: [] } as unknown as StatusReport,
      "/config/objects": { revision: 1, objects: [] },
      [`/pods/cart-1.shop/admin/requests?${path}`]: { requests: [], connections: [broken], ...more },
    });

  it.each(["4711", "4700"])("is explained by id %s", async (id) => {
    await remembering(`id=${id}&limit=100`, { requests: [{ ...record, requestId: `${id}-0` }] });
    const { code, out } = await machine.run(["explain", id]);
    expect(code).toBe(0);
    expect(out).toMatch(/^connection 4711: TCP 10\.0\.0\.2:80 -> closed .* \(2 times\)\n/);
    expect(out).toContain(
      "because: a DENY policy matches, at shop/cart-1\n  AuthorizationPolicy shop/viewer rule[1]\n",
    );
  });

  it("stands among the requests that failed", async () => {
    await remembering("id=&limit=20", { requests: [record] });
    const { out } = await machine.run(["explain"]);
    expect(out.split("\n").map((line) => line.split(/ +/)[1])).toEqual(["ID", "4711", "abc-1", undefined]);
  });
});

describe("explain", () => {
  it("lists what failed, the newest first, each request once", async () => {
    const later = { ...record, requestId: "abc-2", startTimeMs: 2000, status: 404, details: "route_not_found" };
    await meshWith("f", 1, [record, later, record], "id=&limit=20");
    const { out } = await machine.run(["explain"]);
    const [header, first, second, ...rest] = out.trimEnd().split("\n");
    expect(header).toMatch(/^AGE +ID +AT +REQUEST +BECAUSE$/);
    expect(first).toMatch(/ abc-2 +shop\/cart-1 +POST cart\/x -> 404 route_not_found +the route table has not arrived/);
    expect(second).toMatch(/ abc-1 .* AuthorizationPolicy shop\/viewer rule\[1\]$/);
    expect(rest).toEqual([]);
  });

  it("has proxies remember everything for a while", async () => {
    await machine.mesh({
      "/status": status,
      "/pods/cart-1.shop/admin/requests/keep?seconds=60": { seconds: 60 },
      "/pods/gw-1.istio-system/admin/requests/keep?seconds=60": { seconds: 60 },
    });
    expect(await machine.run(["explain", "--record", "60"])).toMatchObject({
      code: 0,
      out: expect.stringContaining("2 proxies remember every request for 60 s"),
    });
    expect(machine.asked).toContain("POST /pods/cart-1.shop/admin/requests/keep?seconds=60 {}");
  });

  it.each([
    ["two words", ["explain", "a", "b"]],
    ["a time that is too long", ["explain", "--record", "601"]],
    ["files without a caller", ["explain", "a", "-f", "mesh"]],
  ])("refuses %s", async (_, argv) => {
    expect((await machine.run(argv)).code).toBe(64);
  });
});

describe("explain --from", () => {
  const WORLD = `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { selector: { app: reviews }, ports: [{ name: http, port: 9080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: reviews }
spec:
  selector: { matchLabels: { app: reviews } }
  template:
    metadata: { labels: { app: reviews } }
    spec: { containers: [{ name: app, ports: [{ containerPort: 9080 }] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - match: [{ headers: { end-user: { exact: tester } } }]
      fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }
      route: [{ destination: { host: reviews } }]
    - route: [{ destination: { host: reviews } }]
`;

  it("tells what would happen, and the line of the rule that decides", async () => {
    machine.file("mesh/world.yaml", WORLD);
    const ask = (...more: string[]) =>
      machine.run(["explain", "-f", "mesh", "--from", "reviews", "GET", "http://reviews:9080/x", ...more]);
    const plain = await ask();
    expect(plain.code).toBe(0);
    expect(plain.out).toContain("outbound|9080||reviews.default.svc.cluster.local\n");
    expect(plain.out).toContain("because of\n  VirtualService default/reviews http[1], mesh/world.yaml:24\n");
    const tester = await ask("-H", "end-user: tester", "-o", "json");
    expect(JSON.parse(tester.out)).toMatchObject({
      verdict: "503",
      objects: [{ object: "VirtualService default/reviews http[0]", place: "mesh/world.yaml:21" }],
    });
  });
});
