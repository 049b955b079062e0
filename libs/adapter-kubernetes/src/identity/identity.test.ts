import { createPrivateKey, X509Certificate } from "node:crypto";
import { createTestCa, eventually, manualClock } from "@lateen/test-support";
import { describe, expect, it, onTestFinished } from "vitest";
import { isPermitted } from "../permissions.ts";
import { testCluster } from "../testing/cluster.ts";
import { namespace } from "../testing/objects.ts";
import { publishRootCertificate } from "./root-certificate.ts";
import { kubernetesSecretStore } from "./secret-store.ts";
import { keepStoreSecrets, STORE_FILES } from "./store-secrets.ts";
import { kubernetesTokenReviewer } from "./token-reviewer.ts";

const AUDIENCE = "istio-ca";

describe("tokens", () => {
  async function reviewing() {
    const cluster = await testCluster(onTestFinished);
    cluster.server.reviewed.set("good", {
      username: "system:serviceaccount:shop:cart",
      audiences: [AUDIENCE],
      extra: { "authentication.kubernetes.io/pod-name": ["cart-1"] },
    });
    cluster.server.reviewed.set("other", { username: "system:serviceaccount:shop:cart", audiences: ["api"] });
    cluster.server.reviewed.set("person", { username: "jane", audiences: [AUDIENCE] });
    cluster.server.reviewed.set("odd", { username: "system:serviceaccount:a:b:c", audiences: [AUDIENCE] });
    const clock = manualClock();
    const { options } = cluster;
    return {
      ...cluster,
      clock,
      reviewer: kubernetesTokenReviewer(cluster.api, { timeoutMs: 60_000, ...options, clock }),
    };
  }

  it("speak for their service account and pod", async () => {
    const { reviewer } = await reviewing();
    const value = { namespace: "shop", serviceAccount: "cart", pod: "cart-1" };
    expect(await reviewer.review("good", AUDIENCE)).toEqual({ ok: true, value });
  });

  it.each([
    ["of another audience", "other"],
    ["of a person", "person"],
    ["of no proper account", "odd"],
    ["that nobody knows", "invented"],
    ["without end", "x".repeat(20_000)],
  ])("%s are refused", async (_, token) => {
    const { reviewer } = await reviewing();
    expect((await reviewer.review(token, AUDIENCE)).ok).toBe(false);
  });

  it("are asked about once in a while, and once for all who ask at the same time", async () => {
    const { reviewer, server, clock } = await reviewing();
    const answers = await Promise.all([1, 2, 3].map(() => reviewer.review("good", AUDIENCE)));
    expect(answers.every(({ ok }) => ok)).toBe(true);
    expect(server.requests).toHaveLength(1);
    server.reviewed.clear();
    expect((await reviewer.review("good", AUDIENCE)).ok).toBe(true);
    clock.advance(31_000);
    expect((await reviewer.review("good", AUDIENCE)).ok).toBe(false);
  });

  it("are refused while the API server cannot be asked, unless they were accepted a moment ago", async () => {
    const { reviewer, server } = await reviewing();
    await reviewer.review("good", AUDIENCE);
    server.fault(() => ({ status: 500 }));
    expect((await reviewer.review("good", AUDIENCE)).ok).toBe(true);
    expect(await reviewer.review("person", AUDIENCE)).toEqual({ ok: false, error: "the token cannot be reviewed now" });
  });
});

const CA = { certPem: "cert", keyPem: "key", rootPem: "root", chainPem: "chain" };
const secret = (name: string, data: Readonly<Record<string, string>>) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "istio-system" },
  data: Object.fromEntries(Object.entries(data).map(([file, text]) => [file, Buffer.from(text).toString("base64")])),
});

describe("the CA", () => {
  it("is not there at first, then as it was stored", async () => {
    const { api } = await testCluster(onTestFinished);
    const store = kubernetesSecretStore(api);
    expect(await store.loadCa()).toBeUndefined();
    await store.saveCa(CA);
    expect(await kubernetesSecretStore(api).loadCa()).toEqual(CA);
  });

  it("of the first who stores one stays", async () => {
    const { api } = await testCluster(onTestFinished);
    await kubernetesSecretStore(api).saveCa(CA);
    await expect(kubernetesSecretStore(api).saveCa({ ...CA, keyPem: "other" })).rejects.toMatchObject({
      detail: { status: 409 },
    });
    expect(await kubernetesSecretStore(api).loadCa()).toEqual(CA);
  });

  it("that the operator brings counts, as does one that Istio made", async () => {
    const { api, server } = await testCluster(onTestFinished);
    server.apply(secret("istio-ca-secret", { "ca-cert.pem": "own", "ca-key.pem": "k" }));
    const store = kubernetesSecretStore(api);
    expect(await store.loadCa()).toEqual({ certPem: "own", keyPem: "k", rootPem: "own", chainPem: "" });
    server.apply(secret("cacerts", { "ca-cert.pem": "given", "ca-key.pem": "k", "root-cert.pem": "r" }));
    expect(await store.loadCa()).toMatchObject({ certPem: "given", rootPem: "r" });
  });

  it("that is not complete is refused, and never replaced", async () => {
    const { api, server } = await testCluster(onTestFinished);
    server.apply(secret("cacerts", { "ca-cert.pem": "given", "ca-key.pem": "topsecret" }));
    const error = await kubernetesSecretStore(api)
      .loadCa()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "LTN6507", message: expect.stringContaining("root-cert.pem") });
    expect(JSON.stringify(error)).not.toContain("topsecret");
  });
});

describe("the Secret of a store", () => {
  const ca = createTestCa();
  async function keeping() {
    const cluster = await testCluster(onTestFinished);
    cluster.server.authorize = (request) => isPermitted("citadel", request);
    const { api, scope, logger, server } = cluster;
    const clock = manualClock();
    const keep = (stores = ["istio-nats"], trusts = (_pem: string) => true) =>
      keepStoreSecrets(api, { stores, issue: (dns) => ca.issue({ dns: [...dns] }), trusts, scope, clock, logger });
    const read = (name = "istio-nats") => {
      const data = server.get("v1", "Secret", name, "istio-system")?.data as Record<string, string> | undefined;
      return Object.fromEntries(
        Object.entries(data ?? {}).map(([file, text]) => [file, Buffer.from(text, "base64").toString()]),
      );
    };
    return { ...cluster, clock, keep, read };
  }

  it("has a password of its own in the forms that users and stores read, and a certificate of its Service", async () => {
    const { keep, read } = await keeping();
    await keep(["istio-nats", "istio-redis"]);
    const { password = "", ...files } = read();
    expect(password).toMatch(/^p[0-9a-f]{64}$/);
    expect(files[STORE_FILES.credentials]).toBe(`lateen:${password}`);
    expect(files[STORE_FILES.acl]).toBe(`user default off\nuser lateen on >${password} ~* &* +@all\n`);
    const certificate = new X509Certificate(files[STORE_FILES.certificate] ?? "");
    expect(certificate.subjectAltName).toBe("DNS:istio-nats.istio-system.svc, DNS:istio-nats.istio-system");
    expect(certificate.checkPrivateKey(createPrivateKey(files[STORE_FILES.key] ?? ""))).toBe(true);
    expect(read("istio-redis").password).not.toBe(password);
  });

  it("stays as it is, whoever made it, and that nobody would trust it is told", async () => {
    const { keep, read, logger } = await keeping();
    await keep();
    const before = read();
    await keep(["istio-nats"], () => false);
    expect(read()).toEqual(before);
    expect(logger.lines).toContainEqual(expect.objectContaining({ event: "store_secret.not_trusted" }));
    expect(JSON.stringify(logger.lines)).not.toContain(before.password);
  });

  it("is made as soon as the API server lets us, and nothing waits for it", async () => {
    const { keep, read, clock, logger, server } = await keeping();
    let failures = 1;
    server.fault(({ verb }) => (verb === "create" && failures-- > 0 ? { status: 500 } : undefined));
    const kept = keep();
    const failed = { event: "store_secret.failed" };
    await eventually("it failed", async () =>
      logger.lines.some(({ event }) => event === failed.event) ? true : undefined,
    );
    await eventually("it was made", async () => {
      clock.advance(5_000);
      return read().password;
    });
    await kept;
  });
});

describe("the root certificate", () => {
  const { rootPem } = createTestCa();
  async function publishing() {
    const cluster = await testCluster(onTestFinished);
    cluster.server.apply(namespace("shop"), namespace("pay"), namespace("kube-system"));
    const { options, scope, server } = cluster;
    const found = (name: string) => {
      const data = server.get("v1", "ConfigMap", "istio-ca-root-cert", name)?.data as
        | Record<string, string>
        | undefined;
      return data?.["root-cert.pem"];
    };
    const settled = (name: string) =>
      eventually(`the certificate in ${name}`, async () => (found(name) === rootPem ? true : undefined), 20_000, 5);
    return {
      ...cluster,
      found,
      settled,
      publish: () => publishRootCertificate(cluster.api, { ...options, scope, rootPem }),
    };
  }

  it("is in every namespace, also in new ones, and not in Kubernetes' own", async () => {
    const { server, publish, settled, found } = await publishing();
    await publish();
    await settled("shop");
    await settled("pay");
    server.apply(namespace("new"));
    await settled("new");
    expect(found("kube-system")).toBeUndefined();
  });

  it("is put back when it was changed or removed, and left alone otherwise", async () => {
    const { server, publish, settled } = await publishing();
    await publish();
    await settled("shop");
    await settled("pay");
    const map = server.get("v1", "ConfigMap", "istio-ca-root-cert", "shop");
    server.apply({ ...map, data: { "root-cert.pem": "other", more: "kept" } });
    await settled("shop");
    expect(server.get("v1", "ConfigMap", "istio-ca-root-cert", "shop")?.data).toMatchObject({ more: "kept" });
    server.delete("v1", "ConfigMap", "istio-ca-root-cert", "pay");
    await settled("pay");
    const writes = server.requests.filter(({ verb }) => verb === "create" || verb === "patch");
    expect(writes.map(({ verb }) => verb).sort()).toEqual(["create", "create", "create", "patch"]);
  });

  it("is written as soon as the API server lets us", async () => {
    const { server, publish, settled } = await publishing();
    let failures = 3;
    server.fault(({ verb }) => (verb === "create" && failures-- > 0 ? { status: 500 } : undefined));
    await publish();
    await settled("shop");
    await settled("pay");
  });
});
