import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";
import { killAll, pidsOf } from "./harness/processes.ts";

/** An issuer of tokens that publishes its keys. */
class Issuer {
  readonly #server: Server;
  readonly #key: KeyObject;
  #port = 0;
  asked = 0;

  private constructor(server: Server, key: KeyObject) {
    this.#server = server;
    this.#key = key;
  }

  static async start(): Promise<Issuer> {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const keys = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "one", alg: "ES256" }] });
    const server = createServer((_request, response) => {
      issuer.asked++;
      response.setHeader("content-type", "application/json").end(keys);
    });
    const issuer = new Issuer(server, privateKey);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    issuer.#port = (server.address() as AddressInfo).port;
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  token(claims: Readonly<Record<string, unknown>>, key = this.#key): string {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ alg: "ES256", kid: "one", typ: "JWT" })}.${part({ iss: this.url, exp: 4_102_444_800, ...claims })}`;
    return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const rules = (issuer: Issuer) => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: visitors, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  jwtRules: [{ issuer: "${issuer.url}", jwksUri: "${issuer.url}/keys", audiences: [bookinfo] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: visitors, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  action: DENY
  rules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }], to: [{ operation: { paths: [/productpage] } }] }]
`;

describe("tokens of an issuer whose keys are fetched", () => {
  let mesh: Mesh;
  let issuer: Issuer;
  beforeAll(async () => {
    issuer = await Issuer.start();
    mesh = await startMesh();
    await mesh.write("jwt.yaml", rules(issuer));
  });
  afterAll(async () => {
    issuer?.stop();
    await mesh?.down();
  });

  const status = async (path: string, token?: string) =>
    (await call(mesh.url(path), token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })).status;

  it("open the way for who has one, at the gateway", async () => {
    await eventually("the page asks for a token", async () =>
      (await status("/productpage")) === 403 ? true : undefined,
    );
    const good = issuer.token({ sub: "alice", aud: "bookinfo" });
    await eventually("a token is taken", async () => ((await status("/productpage", good)) === 200 ? true : undefined));
    expect(issuer.asked).toBeGreaterThan(0);
    expect(await status("/api/v1/products/0")).toBe(200);
  });

  it.each([
    ["of another key", () => issuer.token({ sub: "a", aud: "bookinfo" }, strangersKey()), 401],
    ["that has expired", () => issuer.token({ sub: "a", aud: "bookinfo", exp: 1 }), 401],
    ["of another issuer", () => issuer.token({ sub: "a", aud: "bookinfo", iss: "https://other.example" }), 401],
    ["for somebody else", () => issuer.token({ sub: "a", aud: "other" }), 403],
    ["that is none", () => "a.b.c", 401],
  ])("%s are refused, also where none is asked for", async (_title, token, expected) => {
    expect(await status("/api/v1/products/0", token())).toBe(expected);
  });

  it("are good after a restart of the control plane while their issuer is away", async () => {
    const good = issuer.token({ sub: "alice", aud: "bookinfo" });
    await eventually("a token is taken", async () => ((await status("/productpage", good)) === 200 ? true : undefined));
    issuer.stop();
    const control = () => pidsOf("apps/control-plane/", mesh.state)[0];
    const before = control();
    expect(killAll("apps/control-plane/", mesh.state)).toBe(1);
    await eventually("it runs again", async () => (control() !== undefined && control() !== before ? true : undefined));
    // What only the new one can have told the gateway shows that its keys are in force there.
    await mesh.write(
      "more.yaml",
      rules(issuer)
        .replace(/visitors/g, "more")
        .replace("/productpage", "/api/v1/products"),
    );
    await eventually("the gateway has what it says", async () =>
      (await status("/api/v1/products")) === 403 ? true : undefined,
    );
    expect(await status("/api/v1/products", good)).toBe(200);
    expect(await status("/productpage", good)).toBe(200);
    expect(await status("/productpage", issuer.token({ sub: "a", aud: "bookinfo" }, strangersKey()))).toBe(401);
    expect(await mesh.ok("logs", "control-plane")).toContain("keys.resumed");
  });
});

function strangersKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}
