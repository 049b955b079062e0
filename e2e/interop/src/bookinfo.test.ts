import { readdirSync } from "node:fs";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Bookinfo, bookinfoPods, sampleFile } from "./harness/bookinfo.ts";
import { ask } from "./harness/http.ts";
import { Issuer } from "./harness/issuer.ts";
import { noEnvoy } from "./harness/mesh.ts";

const skip = noEnvoy();
const rules = readdirSync(new URL("../../../samples/bookinfo/rules/", import.meta.url)).sort();
const gateways = ["envoy", "own"] as const;

describe.skipIf(skip !== undefined)(`Bookinfo with Envoy${skip === undefined ? "" : ` (skipped: ${skip})`}`, () => {
  let bookinfo: Bookinfo;
  beforeAll(async () => {
    bookinfo = await Bookinfo.start();
  });
  afterAll(() => bookinfo?.stop());

  const get = (flavor: (typeof gateways)[number], path: string, headers: Record<string, string> = {}) =>
    ask({ path, headers: { host: "bookinfo.example", ...headers } }, bookinfo.gateway(flavor));
  const version = async (flavor: (typeof gateways)[number], headers = {}) => {
    const { status, body } = await get(flavor, "/api/v1/products/0/reviews", headers);
    return status === 200 ? (JSON.parse(body) as { version?: string }).version : `status ${status}`;
  };

  it("refuses nothing of the sample", async () => {
    expect(await bookinfo.plane.refusals()).toEqual([]);
  });

  it.each(gateways)("shows the page through the gateway: %s", async (flavor) => {
    const { status, body } = await get(flavor, "/productpage");
    expect(status).toBe(200);
    expect(body).toMatch(/<html/i);
    for (let i = 0; i < 20; i++) {
      expect((await get(flavor, "/api/v1/products/0")).status).toBe(200);
      expect((await get(flavor, "/api/v1/products/0/ratings")).status).toBe(200);
    }
  });

  it("reaches all versions of reviews from behind Envoy", async () => {
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 60; i++) seen.add(await version("envoy"));
    expect([...seen].sort()).toEqual(["v1", "v2", "v3"]);
  });

  it.each(rules)("refuses nothing of %s", async (file) => {
    await bookinfo.plane.apply(await sampleFile(`rules/${file}`));
    expect(await bookinfo.plane.refusals()).toEqual([]);
  });

  it("lets nothing in without mTLS when it must not, in both directions between Envoy and our proxy", async () => {
    await bookinfo.plane.apply(await sampleFile("rules/strict-mtls.yaml"));
    for (const flavor of gateways) {
      expect((await get(flavor, "/api/v1/products/0")).status).toBe(200);
      expect((await get(flavor, "/api/v1/products/0/reviews")).status).toBe(200);
    }
    for (const { address } of [bookinfoPods.productpage, bookinfoPods.details]) {
      const plain = await ask({ path: "/health", headers: { host: "x" } }, { host: address, port: 9080 });
      expect(plain.status).toBe(0);
    }
    const handshakes = await bookinfo.stats(bookinfoPods.productpage, "details.*ssl.handshake");
    expect(handshakes).toMatch(/ssl\.handshake: [1-9]/);
    // As a client Envoy would stop at 1.2 by itself.
    const versions = await bookinfo.stats(bookinfoPods.productpage, "details.*ssl.versions");
    expect(versions).toMatch(/ssl\.versions\.TLSv1\.3: [1-9]/);
    expect(versions).not.toMatch(/ssl\.versions\.TLSv1\.2: [1-9]/);
  });

  it("routes the tester's requests as the rule says, from behind Envoy", async () => {
    await bookinfo.plane.apply(await sampleFile("rules/reviews-tester-v2.yaml"));
    for (const flavor of gateways) {
      for (let i = 0; i < 10; i++) {
        expect(await version(flavor, { cookie: "user=tester" })).toBe("v2");
        expect(await version(flavor)).toBe("v1");
      }
    }
  });

  it("splits by weight", async () => {
    await bookinfo.plane.apply(await sampleFile("rules/reviews-90-10.yaml"));
    const counts = new Map<string | undefined, number>();
    const count = process.env.LATEEN_TEST_FULL === "1" ? 2_000 : 300;
    for (let i = 0; i < count; i++) {
      const one = await version("envoy");
      counts.set(one, (counts.get(one) ?? 0) + 1);
    }
    expect([...counts.keys()].every((key) => key?.startsWith("v"))).toBe(true);
    expect(Math.max(...counts.values()) / count).toBeGreaterThan(0.82);
    expect(Math.max(...counts.values()) / count).toBeLessThan(0.97);
  });

  it("loses nothing when routes change under load", async () => {
    const failures: string[] = [];
    let running = true;
    const load = Array.from({ length: 4 }, async () => {
      while (running) {
        const { status, body } = await get("envoy", "/api/v1/products/0");
        if (status !== 200) failures.push(`${status} ${body}`);
      }
    });
    for (const name of ["rules/all-v1.yaml", "rules/reviews-tester-v2.yaml", "rules/reviews-90-10.yaml"]) {
      await bookinfo.plane.apply(await sampleFile(name));
    }
    await eventually("all answered", async () => ((await bookinfo.plane.refusals()).length === 0 ? true : undefined));
    running = false;
    await Promise.all(load);
    expect(failures).toEqual([]);
  });

  describe("with tokens of an issuer whose keys are fetched", () => {
    let issuer: Issuer;
    beforeAll(async () => {
      issuer = await Issuer.start();
      await bookinfo.plane.apply(visitors(issuer));
    });
    afterAll(() => issuer?.stop());

    const API = "/api/v1/products/0";
    const status = async (flavor: (typeof gateways)[number], path: string, token?: string) => {
      const { status } = await get(flavor, path, token === undefined ? {} : { authorization: `Bearer ${token}` });
      return status;
    };
    const settles = (title: string, flavor: (typeof gateways)[number], token: string, expected: number) =>
      eventually(title, async () => {
        expect(await status(flavor, "/productpage", token)).toBe(expected);
        return true;
      });
    /** The control plane looked again, and is done with what it found then. */
    async function lookedAgain(): Promise<void> {
      const before = issuer.asked;
      await eventually("keys are looked at again", async () => (issuer.asked > before + 2 ? true : undefined));
    }

    it.each(gateways)("the page is for who has one, at the gateway: %s", async (flavor) => {
      await settles("a good token opens the page", flavor, issuer.token("one"), 200);
      expect(await bookinfo.plane.refusals()).toEqual([]);
      expect(await status(flavor, "/productpage")).toBe(403);
      expect(await status(flavor, API)).toBe(200);
      expect(await status(flavor, API, issuer.token("one"))).toBe(200);
      // Its claims are judged, too.
      expect(await status(flavor, "/api/v1/products", issuer.token("one", { groups: ["guests"] }))).toBe(403);
      expect(await status(flavor, "/api/v1/products", issuer.token("one", { groups: ["guests", "staff"] }))).toBe(200);
    });

    it.each(
      gateways.flatMap((flavor) =>
        (
          [
            ["of a key that is not published", () => issuer.token("unknown"), 401],
            ["that has expired", () => issuer.token("one", { exp: 1 }), 401],
            ["of another issuer", () => issuer.token("one", { iss: "https://other.example" }), 401],
            ["for somebody else", () => issuer.token("one", { aud: "other" }), 403],
          ] as const
        ).map((row) => [flavor, ...row] as const),
      ),
    )("%s refuses a token %s, also where none is asked for", async (flavor, _title, token, expected) => {
      expect(await status(flavor, API, token())).toBe(expected);
    });

    it("keys stay in force while the issuer is away, and others are taken when it is back", async () => {
      issuer.breakDown(true);
      await lookedAgain();
      for (const flavor of gateways) {
        expect(await status(flavor, "/productpage", issuer.token("one"))).toBe(200);
        expect(await status(flavor, "/productpage", issuer.token("two"))).toBe(401);
      }
      expect((await bookinfo.plane.warnings()).join()).toContain(`${issuer.url}/keys`);
      issuer.publish("one", "two");
      issuer.breakDown(false);
      for (const flavor of gateways) {
        await settles("a token of the new key is taken", flavor, issuer.token("two"), 200);
        expect(await status(flavor, "/productpage", issuer.token("one"))).toBe(200);
      }
      expect((await bookinfo.plane.warnings()).join()).not.toContain(`${issuer.url}/keys`);
    });

    it("a key that is withdrawn opens nothing any more", async () => {
      issuer.publish("two");
      for (const flavor of gateways) {
        await settles("a token of the old key is refused", flavor, issuer.token("one"), 401);
        expect(await status(flavor, "/productpage", issuer.token("two"))).toBe(200);
      }
    });
  });
});

/** Who gets to the page: everybody with a token; to the list of products: staff. */
function visitors({ url }: Issuer): string {
  const edge = "selector: { matchLabels: { istio: ingressgateway } }";
  const page = `{ from: [{ source: { notRequestPrincipals: ["${url}/*"] } }], to: [{ operation: { paths: [/productpage] } }] }`;
  const list = `{ to: [{ operation: { paths: [/api/v1/products] } }], when: [{ key: "request.auth.claims[groups]", notValues: [staff] }] }`;
  return `---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: visitors, namespace: istio-system }
spec: { ${edge}, jwtRules: [{ issuer: "${url}", jwksUri: "${url}/keys", audiences: [bookinfo] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: visitors, namespace: istio-system }
spec: { ${edge}, action: DENY, rules: [${page}, ${list}] }
`;
}
