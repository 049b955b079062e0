import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, call, exchange } from "./harness/http.ts";
import { type Mesh, sampleRule, startMesh } from "./harness/mesh.ts";

const HOST = "why.example.com";
const WORLD = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: why }
spec:
  hosts: [${HOST}]
  gateways: [bookinfo-gateway]
  http:
    - match: [{ uri: { prefix: /aborted } }]
      fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
      route: [{ destination: { host: details } }]
    - match: [{ uri: { prefix: /nobody } }]
      route: [{ destination: { host: ghost, subset: none } }]
    - match: [{ uri: { prefix: /forbidden } }]
      route: [{ destination: { host: details } }]
    - match: [{ uri: { prefix: /late } }]
      rewrite: { uri: /api/v1/products/0/ratings }
      timeout: 0.4s
      route: [{ destination: { host: productpage } }]
    - match: [{ uri: { prefix: /narrow } }]
      rewrite: { uri: /api/v1/products/0/ratings }
      route: [{ destination: { host: narrow } }]
---
apiVersion: v1
kind: Service
metadata: { name: ghost }
spec: { selector: { app: details }, ports: [{ name: http, port: 9080 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ghost }
spec: { host: ghost, subsets: [{ name: none, labels: { version: none } }] }
---
apiVersion: v1
kind: Service
metadata: { name: narrow }
spec: { selector: { app: productpage }, ports: [{ name: http, port: 9080 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: narrow }
spec: { host: narrow, trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-entry }
spec:
  selector: { matchLabels: { app: details } }
  action: DENY
  rules:
    - to: [{ operation: { paths: ["/elsewhere"] } }]
    - to: [{ operation: { paths: ["/forbidden*"] } }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: only-mtls }
spec:
  selector: { matchLabels: { app: ratings } }
  mtls: { mode: STRICT }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-database }
spec:
  selector: { matchLabels: { app: mysqldb } }
  action: DENY
  rules:
    - to: [{ operation: { ports: ["1"] } }]
    - to: [{ operation: { ports: ["3306"] } }]
`;

/** Line of the first occurrence, from 1. */
const lineOf = (text: string): number => WORLD.slice(0, WORLD.indexOf(text)).split("\n").length;

interface Listed {
  readonly requestId: string;
  readonly authority: string;
  readonly path: string;
  readonly status: number;
  readonly details: string;
}

interface Refused {
  readonly connectionId: number;
  readonly destination: string;
  readonly details: string;
}

describe("lateen explain", () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh({
      "why.yaml": WORLD,
      "delay.yaml": await sampleRule("ratings-delay"),
      "database.yaml": await sampleRule("ratings-database"),
    });
    await mesh.synced();
  });
  afterAll(() => mesh?.down());

  const ask = (path: string) => call(mesh.url(path), { headers: { host: HOST, cookie: "user=tester" } });

  /** Asks until the answer is the expected one, then what the mesh says of that request. */
  async function story(path: string, expected: (answer: Answer) => boolean): Promise<string> {
    await eventually(`the answer of ${path}`, async () => (expected(await ask(path)) ? true : undefined), 60_000, 200);
    const listed = JSON.parse(await mesh.ok("explain", "-o", "json")) as readonly Listed[];
    const one = listed.find((each) => each.path === path && each.authority === HOST);
    if (one === undefined) throw new Error(`${path} is not among ${JSON.stringify(listed)}`);
    return mesh.ok("explain", one.requestId);
  }

  it.each([
    [
      "/aborted",
      418,
      "fault_filter_abort",
      "a fault was injected",
      "VirtualService default/why http[0]",
      "- match: [{ uri: { prefix: /aborted",
    ],
    ["/unrouted", 404, "route_not_found", "has no route for GET /unrouted", undefined, ""],
    [
      "/nobody",
      503,
      "no_healthy_upstream",
      "has no endpoints",
      "DestinationRule default/ghost",
      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: ghost",
    ],
    [
      "/forbidden",
      403,
      "rbac_access_denied_matched_policy",
      "a DENY policy matches",
      "AuthorizationPolicy default/no-entry rule[1]",
      '- to: [{ operation: { paths: ["/forbidden',
    ],
    [
      "/late",
      504,
      "response_timeout",
      "within the 400 ms",
      "VirtualService default/why http[3]",
      "- match: [{ uri: { prefix: /late",
    ],
  ])("of %s names what decided", async (path, status, details, why, object, written) => {
    const text = await story(path, (answer) => answer.status === status);
    expect(text).toContain(details);
    const because = text.slice(text.indexOf("\nbecause: "));
    expect(because).toContain(why);
    if (object !== undefined)
      expect(because).toMatch(new RegExp(`${escaped(object)}, \\S*why\\.yaml:${lineOf(written)}\n`));
  });

  it("of a full circuit breaker names its field and limit", async () => {
    const held: Promise<Answer>[] = [];
    const text = await story("/narrow", (answer) => {
      if (answer.status === 503) return true;
      held.push(ask("/narrow"));
      return false;
    });
    await Promise.all(held);
    expect(text).toContain("upstream_reset_before_response_started{overflow}");
    expect(text).toContain("max_requests is 1");
    expect(text).toContain("trafficPolicy.connectionPool.http.http2MaxRequests");
    expect(text).toContain("DestinationRule default/narrow, ");
  });

  it.each([
    [
      ...["plain text where mutual TLS is demanded", "ratings-v1", 9080, "filter_chain_not_found"],
      ...["the client speaks plain text", "PeerAuthentication default/only-mtls mtls", "{ mode: STRICT }"],
    ],
    [
      ...["bytes that a policy denies", "mysqldb-v1", 3306, "rbac_access_denied_matched_policy"],
      ...[
        "a DENY policy matches",
        "AuthorizationPolicy default/no-database rule[1]",
        '- to: [{ operation: { ports: ["3306',
      ],
    ],
  ] as const)("names what refused %s", async (_, workload, port, details, why, object, written) => {
    const { address } = await mesh.pod(workload);
    const refused = await eventually(
      "the refused connection",
      async () => {
        await exchange(address, port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        const listed = JSON.parse(await mesh.ok("explain", "-o", "json", "--limit", "200")) as readonly Refused[];
        return listed.find((each) => each.destination === `${address}:${port}` && each.details.startsWith(details));
      },
      60_000,
      200,
    );
    const id = String(refused.connectionId);
    const text = await mesh.ok("explain", id);
    expect(text).toContain(`at default/${workload}-`);
    const because = text.slice(text.indexOf("\nbecause: "));
    expect(because).toContain(why);
    expect(because).toMatch(new RegExp(`${escaped(object)}, \\S*why\\.yaml:${lineOf(written)}\n`));
    const place = expect.stringMatching(new RegExp(`why\\.yaml:${lineOf(written)}$`));
    expect(JSON.parse(await mesh.ok("explain", id, "-o", "json"))).toMatchObject({
      connectionId: refused.connectionId,
      because: { objects: [{ object, place }] },
    });
  });

  it("follows a refused request through both proxies", async () => {
    const text = await story("/forbidden", (answer) => answer.status === 403);
    const hops = [...text.matchAll(/^at (\S+), (\w+), /gm)].map(([, proxy, direction]) => [
      proxy?.replace(/-v1-.*|way-.*/, ""),
      direction,
    ]);
    expect(hops).toEqual([
      ["istio-system/istio-ingressgate", "outbound"],
      ["default/details", "inbound"],
    ]);
    expect(text).toMatch(/answer +403 by the upstream: via_upstream/);
    expect(text).toMatch(/because: .*, at default\/details-v1-/);
  });

  it("remembers requests that go well when it is told to", async () => {
    expect(await mesh.ok("explain", "--record", "120")).toContain("remember every request for 120 s");
    const record = await eventually("the record of a request that went well", async () => {
      expect((await call(mesh.url("/productpage"))).status).toBe(200);
      const listed = JSON.parse(await mesh.ok("explain", "-o", "json", "--limit", "200")) as readonly Listed[];
      return listed.find(({ path }) => path === "/productpage");
    });
    expect(record).toMatchObject({ status: 200, details: "via_upstream" });
  });

  it("tells of a request that was not sent what would become of it", async () => {
    const text = await mesh.ok("explain", "--from", "istio-ingressgateway", "GET", `http://${HOST}/forbidden`);
    expect(text).toContain("VirtualService default/why http[2], ");
    expect(text).toMatch(
      new RegExp(
        `AuthorizationPolicy default/no-entry rule\\[1\\], \\S*why\\.yaml:${lineOf('- to: [{ operation: { paths: ["/forbidden')}\n`,
      ),
    );
  });
});

function escaped(text: string): string {
  return text.replaceAll(/[[\]./]/g, "\\$&");
}
