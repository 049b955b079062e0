import { call, fullCounts, startLoad } from "@lateen/e2e-embedded";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ApiObject } from "./harness/cluster.ts";
import type { RunningPod } from "./harness/kubelet.ts";
import { Mesh, type Template } from "./harness/mesh.ts";
import { application, LIMIT, rule, shop } from "./harness/shop.ts";

const { E2E_BACKEND: backend, LATEEN_CONTAINERS_SKIP: skipped } = process.env;
const reason = skipped ?? (backend === undefined ? "start it with `node src/run.ts vitest run`" : "");
const PATIENCE_MS = 180_000;
const host = "shop.example";
/** While it goes on serving after its pod is told to end: others learn in this time that it goes. */
const SETTLE_SECONDS = 5;
/** Pods of our own images. */
const OURS = [
  "istio-pilot",
  "istio-citadel",
  "istio-galley",
  "istio-mixer",
  "istio-sidecar-injector",
  "istio-ingressgateway",
];
/** With the full counts all the others, too. */
const KILLED = ["istio-pilot", "istio-nats"];

describe.skipIf(reason !== "")(`profile demo in containers (${reason || backend})`, { timeout: 600_000 }, () => {
  let mesh: Mesh;
  let web: RunningPod;
  let client: RunningPod;

  beforeAll(async () => {
    mesh = await Mesh.start();
    mesh.cluster.apply(...shop());
    [web, client] = await Promise.all([
      mesh.runInjected(application("web", 8080, SETTLE_SECONDS), "web-1"),
      mesh.runInjected(application("client", 8081), "client-1"),
    ]);
  }, 600_000);
  afterAll(() => mesh?.close(), 240_000);

  const urlOf = (path: string) => `http://${mesh.cluster.addressOf("istio-ingressgateway", "istio-system")}${path}`;
  const edge = (path: string) => call(urlOf(path), { headers: { host } });
  /** Waits for an answer at the edge; what came instead is in the error. */
  const served = (what: string, path: string, fits: (answer: Awaited<ReturnType<typeof edge>>) => boolean) =>
    eventually(
      what,
      async () => {
        const answer = await edge(path);
        if (!fits(answer)) throw new Error(`${answer.status} ${JSON.stringify(answer.headers)} ${answer.body}`);
        return answer;
      },
      PATIENCE_MS,
    );
  /** Runs a script in a container. */
  const script = async (pod: RunningPod, container: string, text: string): Promise<string> => {
    const found = pod.containers.get(container);
    if (found === undefined) throw new Error(`no container ${container}`);
    const { code, output } = await found.exec(["/usr/local/bin/node", "-e", text]);
    if (code !== 0) throw new Error(`${pod.pod.metadata.name}: ${output}${await found.log()}`);
    return output.trim();
  };
  const seen = (body: string) =>
    JSON.parse(body) as { readonly name: string; readonly headers: Record<string, string> };

  it("has proxies and components that run as user 1337 without rights, on a file system that nobody can write to", async () => {
    const text = `const { readFileSync, writeFileSync } = require("node:fs");
      const status = readFileSync("/proc/1/status", "utf8");
      const find = (name) => new RegExp("^" + name + ":\\\\s+(\\\\S+)", "m").exec(status)[1];
      let written = "written"; try { writeFileSync("/x", ""); } catch (error) { written = error.code; }
      console.log(["Uid", "Gid", "CapEff", "NoNewPrivs"].map(find).concat(written).join(" "));`;
    const found = await Promise.all([
      ...[web, client].map((pod) => script(pod, "istio-proxy", text)),
      ...OURS.map((name) => {
        const { containers } = mesh.pod(name);
        // One that found nobody to talk to when it was started may have been started again.
        return eventually(name, () => script(mesh.pod(name), [...containers.keys()][0] ?? "", text), PATIENCE_MS);
      }),
    ]);
    expect(new Set(found)).toEqual(new Set(["1337 1337 0000000000000000 1 EROFS"]));
    expect(await web.containers.get("istio-init")?.ended).toBe(0);
  });

  it("takes requests at the edge to an injected pod, by mutual TLS", async () => {
    const { body } = await served("the edge", "/hello", ({ status }) => status === 200);
    const { name, headers } = seen(body);
    expect(name).toBe("web");
    const gateway = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
    expect(headers["x-forwarded-client-cert"]).toContain(`URI=${gateway}`);
  });

  it("captures what an application sends to a service's name", async () => {
    const ask = `fetch("http://web.shop.svc/x").then(async (answer) => console.log(await answer.text()))`;
    const { name, headers } = seen(
      await eventually(
        "an answer",
        () => script(client, "app", ask).then((out) => (out.startsWith("{") ? out : undefined)),
        PATIENCE_MS,
      ),
    );
    expect(name).toBe("web");
    expect(headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/shop/sa/client");
  });

  it("captures what comes to an application: plaintext from outside the mesh is refused under STRICT", async () => {
    await expect(call(`http://${web.address}:8080/x`)).rejects.toThrow(/ECONNRESET|hang up/);
    // The same address from inside its pod is the application.
    expect(
      seen(
        await script(web, "app", `fetch("http://127.0.0.1:8080/x").then(async (it) => console.log(await it.text()))`),
      ).name,
    ).toBe("web");
  });

  it("carries a change from the API server over NATS to the proxies", async () => {
    mesh.cluster.apply(rule("2"));
    await served("the new rule", "/x", ({ headers }) => headers["x-rule"] === "2");
    const { body } = await call(`http://${mesh.pod("istio-pilot").address}:15014/metrics`);
    expect(body).toContain('lateen_nats_state_current{topic="config"} 1');
  });

  it("counts limits in Redis, whichever mixer asks", async () => {
    let [granted, undecided] = [0, 0];
    /** An answer within the time that is installed for Redis has the limit's headers, of others the filter's mode lets requests pass. */
    const refused = ({ status, headers }: Awaited<ReturnType<typeof edge>>) => {
      if (status === 200 && headers["x-ratelimit-limit"] !== undefined) granted++;
      else if (status === 200) undecided++;
      return status === 429;
    };
    await served("the limit is reached", "/limited", refused);
    // Of those that were not decided in time Redis may have counted some all the same.
    expect(granted).toBeLessThanOrEqual(LIMIT);
    expect(granted + undecided).toBeGreaterThanOrEqual(LIMIT);
    const before = granted;
    await mesh.kill("istio-mixer");
    await mesh.replace("istio-mixer");
    await served("the new mixer is asked", "/limited", refused);
    expect(granted).toBe(before);
  });

  it("loses no request while parts of the control plane are killed and replaced", async () => {
    using load = startLoad(urlOf("/x"), { headers: { host }, parallel: 2 });
    for (const name of fullCounts
      ? [...KILLED, "istio-galley", "istio-citadel", "istio-redis", "istio-mixer"]
      : KILLED) {
      const before = load.total();
      await mesh.kill(name);
      await eventually("requests while it is away", async () => load.total() > before + 20 || undefined, PATIENCE_MS);
      await mesh.replace(name);
    }
    mesh.cluster.apply(rule("3"));
    await served("a change after all that", "/x", ({ headers }) => headers["x-rule"] === "3");
    expect((await load.stop()).failures).toEqual([]);
  });

  it("starts no pod without its sidecar while the webhook is away, unless that is what its failurePolicy says", async () => {
    const containers = ({ spec }: Template) => spec.containers.map(({ name }) => name).sort();
    const late = application("late", 8082);
    expect(containers(await mesh.create(late, "late-1"))).toEqual(["app", "istio-proxy"]);
    await mesh.kill("istio-sidecar-injector");
    await expect(mesh.create(late, "late-2")).rejects.toMatchObject({
      status: 500,
      message: expect.stringMatching(
        /^Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": .*"https:\/\/istio-sidecar-injector.istio-system.svc:443\/inject\?timeout=10s": .*ECONNREFUSED/,
      ),
    });
    // Namespaces that are not injected are not asked about.
    const elsewhere = { ...late, metadata: { ...late.metadata, namespace: "elsewhere" } };
    mesh.cluster.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "elsewhere" } });
    expect(containers(await mesh.create(elsewhere, "late-2"))).toEqual(["app"]);
    mesh.setFailurePolicy("Mutating", "Ignore");
    expect(containers(await mesh.create(late, "late-2"))).toEqual(["app"]);
    mesh.setFailurePolicy("Mutating", "Fail");
    await mesh.replace("istio-sidecar-injector");
    expect(containers(await mesh.create(late, "late-3"))).toEqual(["app", "istio-proxy"]);
  });

  it("takes rules unseen while galley is away, of which the bad ones change nothing", async () => {
    const bad = (name: string) => ({
      ...rule("4"),
      metadata: { name, namespace: "shop" },
      spec: { hosts: ["web"], http: [{ timeout: "soon" }] },
    });
    const create = (object: ApiObject) => mesh.cluster.server.create(object);
    await mesh.trusted("Validating");
    await expect(create(bad("bad-1"))).rejects.toMatchObject({
      message: expect.stringMatching(/^admission webhook "validation.istio.io" denied the request: .*timeout/),
    });
    using load = startLoad(urlOf("/x"), { headers: { host }, parallel: 2 });
    await mesh.kill("istio-galley");
    await create(bad("bad-2"));
    mesh.setFailurePolicy("Validating", "Fail");
    await expect(create(bad("bad-3"))).rejects.toMatchObject({
      message: expect.stringMatching(/failed calling webhook "validation.istio.io": .*ECONNREFUSED/),
    });
    mesh.setFailurePolicy("Validating", "Ignore");
    await mesh.replace("istio-galley");
    mesh.cluster.apply(rule("5"));
    await served("a change after that", "/x", ({ headers }) => headers["x-rule"] === "5");
    expect((await load.stop()).failures).toEqual([]);
    expect(mesh.cluster.server.get("networking.istio.io/v1", "VirtualService", "bad-2", "shop")).toBeDefined();
  });

  it.runIf(fullCounts)("loses no request while a workload is rolled, its sidecars with it", async () => {
    using load = startLoad(urlOf("/x"), { headers: { host }, parallel: 2 });
    for (let number = 2; number <= 5; number++) {
      const [old, before] = [web, load.total()];
      web = await mesh.runInjected(application("web", 8080, SETTLE_SECONDS), `web-${number}`);
      mesh.cluster.forget(old);
      expect(await old.stop()).toEqual({ app: 0, "istio-proxy": 0 });
      await eventually("requests to the next", async () => load.total() > before + 20 || undefined, PATIENCE_MS);
    }
    expect((await load.stop()).failures).toEqual([]);
  });

  it("ends pods within their time when they are told to, and has asked the API server for nothing that is not its own", async () => {
    const ended = [client, ...OURS.map((name) => mesh.pod(name))].map(async (pod) => {
      mesh.cluster.forget(pod);
      return [pod.pod.metadata.name, new Set(Object.values(await pod.stop()))] as const;
    });
    for (const [name, codes] of await Promise.all(ended)) expect([name, codes]).toEqual([name, new Set([0])]);
    expect(mesh.cluster.refused).toEqual([]);
  });
});
