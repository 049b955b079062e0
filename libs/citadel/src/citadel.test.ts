import { expectOk, Scope } from "@lateen/kernel";
import { certificateFacts, createCsr, createRootCa, verifyChain } from "@lateen/pki";
import type { Caller, CaMaterial, SecretStore } from "@lateen/ports";
import { manualClock, recordingLogger } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { type CitadelOptions, createCitadel } from "./citadel.ts";

const DAY = 86_400;
const reviews: Caller = { namespace: "shop", serviceAccount: "reviews", via: "token" };
const { csrPem } = createCsr({ spiffeId: "spiffe://cluster.local/ns/shop/sa/reviews" });

class MemorySecrets implements SecretStore {
  saves = 0;
  material: CaMaterial | undefined;
  constructor(material?: CaMaterial) {
    this.material = material;
  }
  loadCa() {
    return Promise.resolve(this.material);
  }
  saveCa(material: CaMaterial) {
    this.saves++;
    this.material = material;
    return Promise.resolve();
  }
}

async function opened(change: Partial<CitadelOptions> = {}) {
  const clock = manualClock(Date.now());
  const logger = recordingLogger();
  const secretStore = new MemorySecrets();
  const citadel = await createCitadel({ secretStore, trustDomain: "cluster.local", clock, logger, ...change });
  return { citadel, clock, logger, secretStore };
}

describe("the CA", () => {
  it("is made once, stored before it signs, and used again", async () => {
    const { citadel, secretStore } = await opened();
    expect(secretStore.saves).toBe(1);
    const again = await opened({ secretStore });
    expect([secretStore.saves, again.citadel.rootPem]).toEqual([1, citadel.rootPem]);
  });

  it("does not start when it cannot be stored", async () => {
    const secretStore = new MemorySecrets();
    secretStore.saveCa = () => Promise.reject(new Error("read-only"));
    await expect(opened({ secretStore })).rejects.toThrow("read-only");
  });

  it("that is given is never replaced, also when it cannot be used", async () => {
    const clock = manualClock(Date.now());
    const ca = createRootCa({ trustDomain: "cluster.local" }, clock);
    const other = createRootCa({ trustDomain: "cluster.local" }, clock);
    const secretStore = new MemorySecrets({ ...ca, rootPem: other.rootPem });
    await expect(opened({ secretStore })).rejects.toMatchObject({ code: "LTN4101" });
    expect(secretStore.saves).toBe(0);
  });
});

describe("signing", () => {
  it("gives the caller's identity, whatever the request says", async () => {
    const { citadel, clock } = await opened();
    const forged = createCsr({ spiffeId: "spiffe://cluster.local/ns/kube-system/sa/admin" }).csrPem;
    const chain = expectOk(await citadel.sign(reviews, forged, 3600), ({ message }) => new Error(message));
    const [leaf = ""] = chain;
    const facts = certificateFacts(leaf);
    expect(facts.uriSans).toEqual(["spiffe://cluster.local/ns/shop/sa/reviews"]);
    expect(facts.notAfter - clock.now()).toBeLessThanOrEqual(3600_000);
    expect(chain.at(-1)).toBe(citadel.rootPem);
  });

  it.each([
    [
      "a component of the control plane",
      "istio-system",
      "istio-galley-service-account",
      ["istio-galley.istio-system.svc"],
    ],
    [
      "one of another revision",
      "istio-system",
      "istio-galley-service-account-canary",
      ["istio-galley-canary.istio-system.svc", "istio-galley.istio-system.svc"],
    ],
    ["an account of that name elsewhere", "shop", "istio-galley-service-account", []],
    ["another account of istio-system", "istio-system", "default", []],
    ["an account named like a property of every object", "istio-system", "constructor", []],
  ])("gives DNS names that clients trust to components only: %s", async (_title, namespace, serviceAccount, names) => {
    const { citadel } = await opened();
    const caller: Caller = { namespace, serviceAccount, via: "token" };
    const [leaf = ""] = expectOk(await citadel.sign(caller, csrPem, 3600), ({ message }) => new Error(message));
    const { dnsSans, uriSans } = certificateFacts(leaf);
    expect(uriSans).toEqual([`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`]);
    expect(dnsSans.filter((name) => name.endsWith(".svc"))).toEqual(names);
    if (names.length === 0) expect(dnsSans).toEqual([]);
  });

  it.each([
    ["none asked", 0, {}, DAY],
    ["a negative one asked", -1, {}, DAY],
    ["one asked", 600, {}, 600],
    ["the maximum asked", 90 * DAY, {}, 90 * DAY],
    ["none asked, another default", 0, { defaultTtlSeconds: 60 }, 60],
    ["none asked, a maximum below the default", 0, { maxTtlSeconds: 300 }, 300],
  ])("gives a life: %s", async (_, asked, options, expected) => {
    const { citadel, clock } = await opened(options);
    const [leaf = ""] = expectOk(await citadel.sign(reviews, csrPem, asked), ({ message }) => new Error(message));
    expect(Math.round((certificateFacts(leaf).notAfter - clock.now()) / 1000)).toBeCloseTo(expected, -1);
  });

  it.each([
    ["a longer life", 90 * DAY + 1, csrPem, "invalidArgument"],
    ["no number of seconds", Number.NaN, csrPem, "invalidArgument"],
    ["no request", 60, "", "invalidArgument"],
    [
      "a request that was changed",
      60,
      csrPem.replace(/[A-Z](?=\S*\n-----END)/, (c) => (c === "A" ? "B" : "A")),
      "invalidArgument",
    ],
  ])("refuses %s", async (_, seconds, csr, code) => {
    const { citadel } = await opened();
    expect(await citadel.sign(reviews, csr, seconds)).toMatchObject({ ok: false, error: { code } });
  });

  it.each([
    { namespace: "", serviceAccount: "a" },
    { namespace: "a/sa/b", serviceAccount: "c" },
    { namespace: "a", serviceAccount: "b?c" },
  ])("refuses a caller that is no workload: %j", async (names) => {
    const { citadel } = await opened();
    expect(await citadel.sign({ ...names, via: "token" }, csrPem, 60)).toMatchObject({
      ok: false,
      error: { code: "unauthenticated" },
    });
  });

  it("is counted", async () => {
    const { citadel } = await opened();
    await citadel.sign(reviews, csrPem, 60);
    await citadel.sign(reviews, "x", 60);
    await citadel.sign(reviews, csrPem, 91 * DAY);
    citadel.countAuthenticationFailure();
    const lines = citadel.metrics().split("\n");
    for (const line of [
      "citadel_server_csr_count 3",
      "citadel_server_success_cert_issuance_count 1",
      "citadel_server_csr_parsing_err_count 1",
      "citadel_server_csr_sign_err_count 1",
      "citadel_server_authentication_failure_count 1",
    ]) {
      expect(lines).toContain(line);
    }
  });

  it("logs no key and no request", async () => {
    const { citadel, logger, secretStore } = await opened();
    await citadel.sign(reviews, csrPem, 60);
    const text = JSON.stringify(logger.lines);
    expect(text).toContain("ca.issued");
    expect(text).not.toContain("PRIVATE KEY");
    expect(text).not.toContain(secretStore.material?.keyPem.split("\n")[1]);
  });
});

describe("server certificates", () => {
  const NAMES = ["istiod.istio-system.svc", "localhost"];

  it("carry the names, and verify against the root", async () => {
    const { citadel, clock } = await opened();
    const { certPem, rootPem, notAfter } = citadel.serverCertificate(NAMES, 3600);
    expect(certificateFacts(certPem)).toMatchObject({ dnsSans: NAMES, uriSans: [], notAfter });
    expect(rootPem).toBe(citadel.rootPem);
    expect(verifyChain(certPem, rootPem, clock).ok).toBe(true);
  });

  it("are replaced at half their life, again and again, until the scope closes", async () => {
    const { citadel, clock } = await opened();
    const scope = new Scope();
    const seen: number[] = [];
    const first = citadel.rotatingServerCertificate(scope, NAMES, ({ notAfter }) => seen.push(notAfter));
    clock.advance((DAY / 2) * 1000 - 1000);
    expect(seen).toHaveLength(0);
    clock.advance(2000);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toBeGreaterThan(first.notAfter);
    clock.advance(DAY * 1000);
    expect(seen.length).toBeGreaterThanOrEqual(2);
    await scope.close();
    const count = seen.length;
    clock.advance(10 * DAY * 1000);
    expect([seen.length, clock.pending]).toEqual([count, 0]);
  });
});
