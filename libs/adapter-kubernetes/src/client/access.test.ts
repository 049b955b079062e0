import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { createTestCa, manualClock } from "@lateen/test-support";
import { describe, expect, it, onTestFinished } from "vitest";
import { testCluster } from "../testing/cluster.ts";
import { configMap } from "../testing/objects.ts";
import { KubernetesApi } from "./api.ts";
import { inClusterAccess } from "./in-cluster.ts";
import { kubeconfigAccess } from "./kubeconfig.ts";
import { openKubernetes } from "./open.ts";

const MAPS = { group: "", version: "v1", plural: "configmaps", namespace: "shop" };

/** An API server that accepts `user`, and a way to read something from it. */
async function reading(user: (files: (name: string, text: string) => string) => object, clientCa?: string) {
  const cluster = await testCluster(onTestFinished, clientCa === undefined ? {} : { clientCa });
  cluster.server.apply(configMap("a", { x: "1" }));
  const config = cluster.server.kubeconfig(user(cluster.file) as Record<string, unknown>);
  const api = new KubernetesApi(await kubeconfigAccess([cluster.file("own", config)]));
  onTestFinished(() => api.close());
  return { ...cluster, read: () => api.get(MAPS, "a") };
}

describe("a kubeconfig", () => {
  it("with a token", async () => {
    const { read } = await reading(() => ({ token: "test-token" }));
    expect(await read()).toMatchObject({ data: { x: "1" } });
  });

  it("with a token in a file beside it", async () => {
    const { read } = await reading((file) => {
      file("tok", "test-token\n");
      return { tokenFile: "tok" };
    });
    expect(await read()).toMatchObject({ data: { x: "1" } });
  });

  it("with a client certificate", async () => {
    const ca = createTestCa("clients");
    const { certPem, keyPem } = ca.issue({ dns: ["someone"] });
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    const user = (file: (name: string, text: string) => string) => ({
      "client-certificate-data": base64(certPem),
      "client-key": file("key.pem", keyPem),
    });
    const { read } = await reading(user, ca.rootPem);
    expect(await read()).toMatchObject({ data: { x: "1" } });
  });

  it("with credentials that are wrong is refused by the server", async () => {
    const { read } = await reading(() => ({ token: "other" }));
    await expect(read()).rejects.toMatchObject({ code: "LTN6501", detail: { status: 401 } });
  });

  it("whose authority is not the server's does not connect", async () => {
    const { server, file } = await testCluster(onTestFinished);
    const config = JSON.parse(server.kubeconfig());
    config.clusters[0].cluster["certificate-authority-data"] = Buffer.from(createTestCa().rootPem).toString("base64");
    const api = new KubernetesApi(await kubeconfigAccess([file("own", JSON.stringify(config))]));
    await expect(api.get(MAPS, "a")).rejects.toMatchObject({ code: "LTN6502" });
    config.clusters[0].cluster["insecure-skip-tls-verify"] = true;
    const careless = new KubernetesApi(await kubeconfigAccess([file("own", JSON.stringify(config))]));
    await expect(careless.get(MAPS, "a")).rejects.toMatchObject({ detail: { status: 404 } });
    for (const one of [api, careless]) one.close();
  });

  it.each([
    [{ exec: { command: "login" } }, "a login program (exec)"],
    [{ "auth-provider": { name: "x" } }, "an auth-provider"],
  ])("whose user needs %j is refused", async (user, what) => {
    await expect(reading(() => user)).rejects.toMatchObject({
      code: "LTN6505",
      message: expect.stringContaining(what),
    });
  });

  it("of several, the first that says something counts; another context can be chosen", async () => {
    const { server, file } = await testCluster(onTestFinished);
    const second = JSON.parse(server.kubeconfig());
    second.contexts.push({ name: "other", context: { cluster: "test", user: "test", namespace: "elsewhere" } });
    const files = [
      file("first", "current-context: other\n"),
      `${dirname(file("x", ""))}/absent`,
      file("second", JSON.stringify(second)),
    ];
    expect((await kubeconfigAccess(files)).namespace).toBe("elsewhere");
    expect((await kubeconfigAccess(files, { context: "test" })).namespace).toBe("istio-system");
    await expect(kubeconfigAccess(files, { context: "none" })).rejects.toMatchObject({ hint: "it has test, other" });
  });

  it.each([
    ["that is not there", ["/nowhere/config"], "cannot be read"],
    ["none of which is there", ["/nowhere/a", "/nowhere/b"], "exists"],
  ])("%s is told", async (_, files, reason) => {
    const refusal = { code: "LTN6505", message: expect.stringContaining(reason) };
    await expect(kubeconfigAccess(files)).rejects.toMatchObject(refusal);
  });
});

describe("a pod", () => {
  async function inPod() {
    const cluster = await testCluster(onTestFinished);
    const { port } = new URL(cluster.server.url);
    const dir = dirname(cluster.file("namespace", "lateen\n"));
    mkdirSync(dir, { recursive: true });
    cluster.file("token", "test-token\n");
    cluster.file("ca.crt", cluster.server.caPem);
    const clock = manualClock();
    const env = { KUBERNETES_SERVICE_HOST: "localhost", KUBERNETES_SERVICE_PORT: port };
    const access = await inClusterAccess({ env, dir, clock });
    const api = new KubernetesApi(access);
    onTestFinished(() => api.close());
    cluster.server.apply(configMap("a"));
    return { ...cluster, clock, api, read: () => api.get(MAPS, "a") };
  }

  it("uses its service account, and the rotated token in time", async () => {
    const { server, api, read, file, clock } = await inPod();
    expect(api.namespace).toBe("lateen");
    await read();
    server.tokens.add("second");
    file("token", "second");
    await read();
    expect(server.requests.at(-1)?.token).toBe("test-token");
    clock.advance(31_000);
    await read();
    expect(server.requests.at(-1)?.token).toBe("second");
  });

  it("reads its token at once when the one it used is refused", async () => {
    const { server, read, file } = await inPod();
    server.tokens.clear();
    server.tokens.add("second");
    file("token", "second");
    await expect(read()).rejects.toMatchObject({ detail: { status: 401 } });
    await read();
  });

  it("is told from a process outside of any cluster", async () => {
    await expect(openKubernetes({ env: {} })).rejects.toMatchObject({ code: "LTN6505" });
  });
});
