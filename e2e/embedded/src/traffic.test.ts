import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, startLoad, tally } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";

/** Reviews straight through the gateway, split as `weights` say. */
const direct = (weights: Readonly<Record<string, number>>) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: direct }
spec:
  hosts: [direct.example.com]
  gateways: [bookinfo-gateway]
  http:
    - route:
${Object.entries(weights)
  .map(([subset, weight]) => `        - { destination: { host: reviews, subset: ${subset} }, weight: ${weight} }`)
  .join("\n")}
`;
const host = { host: "direct.example.com" };

describe("rules of the traffic API on live traffic", () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh({ "direct.yaml": direct({ v1: 90, v3: 10 }) });
  });
  afterAll(() => mesh?.down());

  const versionFor = async (user?: string) => {
    const { body } = await call(
      mesh.url("/api/v1/products/0/reviews"),
      user ? { headers: { cookie: `user=${user}` } } : {},
    );
    return (JSON.parse(body) as { version?: string }).version;
  };

  it("splits 10,000 requests 90/10 within 1.5 points", async () => {
    const counts = await tally(
      mesh.url("/reviews/0"),
      10_000,
      ({ status, headers }) => `${status} ${String(headers["x-reviews-version"])}`,
      { headers: host },
    );
    expect([...counts.keys()].sort()).toEqual(["200 v1", "200 v3"]);
    expect((counts.get("200 v1") ?? 0) / 100).toBeGreaterThan(88.5);
    expect((counts.get("200 v1") ?? 0) / 100).toBeLessThan(91.5);
  });

  it("sends a tester to v2 and everybody else to v1, without exception", async () => {
    await mesh.rule("reviews-tester-v2");
    await eventually("the rule is in force", async () => ((await versionFor("tester")) === "v2" ? true : undefined));
    await mesh.synced();
    const url = mesh.url("/api/v1/products/0/reviews");
    const classify = ({ body }: { body: string }) => String((JSON.parse(body) as { version?: string }).version);
    expect([...(await tally(url, 200, classify, { headers: { cookie: "user=tester" } }))]).toEqual([["v2", 200]]);
    expect([...(await tally(url, 200, classify))]).toEqual([["v1", 200]]);
  });

  it("delays exactly the requests that the fault names", async () => {
    await mesh.rule("ratings-delay");
    const url = mesh.url("/api/v1/products/0/ratings");
    const tester = { headers: { cookie: "user=tester" } };
    await eventually("the delay is in force", async () => ((await call(url, tester)).ms >= 1_900 ? true : undefined));
    await mesh.synced();
    const slow = await call(url, tester);
    expect(slow.status).toBe(200);
    expect(slow.ms).toBeGreaterThan(1_990);
    expect(slow.ms).toBeLessThan(2_900);
    expect((await call(url)).ms).toBeLessThan(1_000);
  });

  it("aborts exactly the requests that the fault names", async () => {
    await mesh.rule("ratings-abort");
    const url = mesh.url("/api/v1/products/0/ratings");
    const tester = { headers: { cookie: "user=tester" } };
    await eventually("the abort is in force", async () =>
      (await call(url, tester)).status === 500 ? true : undefined,
    );
    await mesh.synced();
    const status = ({ status: code }: { status: number }) => String(code);
    expect([...(await tally(url, 100, status, tester))]).toEqual([["500", 100]]);
    expect([...(await tally(url, 100, status))]).toEqual([["200", 100]]);
  });

  it("changes live routing on a file edit without failing a request", async () => {
    await mesh.write("rule.yaml", undefined);
    using load = startLoad(mesh.url("/reviews/0"), { headers: host });
    for (const version of ["v1", "v2", "v3", "v1", "v3"]) {
      await mesh.write("direct.yaml", direct({ [version]: 100 }));
      await eventually(`only ${version}`, async () => {
        const counts = await tally(mesh.url("/reviews/0"), 20, ({ headers }) => String(headers["x-reviews-version"]), {
          headers: host,
          parallel: 2,
        });
        return counts.get(version) === 20 ? true : undefined;
      });
    }
    const { total, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(total).toBeGreaterThan(100);
  });

  it("matches, rewrites, redirects, edits headers, mirrors and retries as the YAML says", async () => {
    await mesh.write(
      "features.yaml",
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: features }
spec:
  hosts: [features.example.com]
  gateways: [bookinfo-gateway]
  http:
    - match: [{ uri: { prefix: /old }, queryParams: { go: { exact: "1" } } }]
      redirect: { uri: /new, authority: other.example.com, redirectCode: 302 }
    - match: [{ uri: { prefix: /book/ }, method: { exact: GET } }]
      rewrite: { uri: /details/ }
      headers:
        request: { set: { x-added: "yes" }, remove: [cookie] }
        response: { set: { x-from-rule: "yes" }, remove: [content-type] }
      route: [{ destination: { host: details, port: { number: 9080 } } }]
    - match: [{ uri: { regex: "/re[a-z]+/[0-9]" } }]
      mirror: { host: ratings, port: { number: 9080 } }
      mirrorPercentage: { value: 100 }
      retries: { attempts: 2, perTryTimeout: 2s, retryOn: "5xx,connect-failure" }
      timeout: 5s
      route: [{ destination: { host: reviews, subset: v1 } }]
    - directResponse: { status: 410, body: { string: gone } }
`,
    );
    const ask = (path: string, options: { method?: string } = {}) =>
      call(mesh.url(path), { ...options, headers: { host: "features.example.com" } });
    await eventually("the rules are in force", async () => ((await ask("/else")).status === 410 ? true : undefined));
    const moved = await ask("/old/x?go=1");
    expect(moved.status).toBe(302);
    expect(moved.headers.location).toBe("http://other.example.com/new?go=1");
    const book = await ask("/book/0");
    expect(book.status).toBe(200);
    expect(book.headers["x-from-rule"]).toBe("yes");
    expect(book.headers["content-type"]).toBeUndefined();
    expect((await ask("/book/0", { method: "POST" })).status).toBe(410);
    expect((await ask("/reviews/0")).status).toBe(200);
    const { address } = await mesh.pod("ratings-v1");
    await eventually("the mirrored request arrives", async () => {
      const { body } = await call(`http://${address}:15090/stats/prometheus`);
      return /istio_requests_total\{[^}]*reporter="destination"[^}]*response_code="404"/.test(body) ||
        /istio_requests_total\{[^}]*response_code="404"[^}]*reporter="destination"/.test(body)
        ? true
        : undefined;
    });
  });
});
