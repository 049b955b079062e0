import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RunEvent } from "./admin/run.ts";
import type { AgentView } from "./pod/agent.ts";
import { listedProcesses } from "./process/ledger.ts";
import { startTimeOf } from "./process/start-time.ts";
import { openSocketRequest, socketRequest } from "./socket-client.ts";
import { meshPid, stateDir } from "./state-dir.ts";
import type { WorkloadStatus } from "./status.ts";
import type { Supervisor } from "./supervisor.ts";
import { FakeConfig, removeState, startSupervisor, temporaryState, workload } from "./testing/mesh.ts";

let root: string;
let config: FakeConfig;
let mesh: Supervisor | undefined;
beforeEach(() => {
  root = temporaryState();
  config = new FakeConfig();
  config.set(workload("web"));
});
afterEach(async () => {
  await mesh?.stop();
  mesh = undefined;
  removeState(root);
});

// Real processes start as fast as the machine lets them.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const patience = { timeout: 30_000, interval: 10 };

/** Waits until a workload is as wanted. */
function workloadIs(name: string, wanted: Partial<WorkloadStatus>): Promise<WorkloadStatus> {
  return vi.waitFor(async () => {
    const found = (await mesh?.status())?.workloads.find((one) => one.workload === name);
    expect(found).toMatchObject(wanted);
    return found as WorkloadStatus;
  }, patience);
}

function pids(): readonly number[] {
  return listedProcesses(stateDir(root).processesFile).map(({ pid }) => pid);
}

function pidOf(wanted: string): number {
  const found = listedProcesses(stateDir(root).processesFile).find(({ name }) => name.startsWith(wanted));
  if (found === undefined) throw new Error(`no process ${wanted}`);
  return found.pid;
}

async function ask(one: WorkloadStatus): Promise<{ readonly pid: number; readonly env: Record<string, string> }> {
  const response = await fetch(`http://127.0.0.1:${one.ports[0]?.private}/`);
  return (await response.json()) as { pid: number; env: Record<string, string> };
}

describe("a mesh", () => {
  it("runs each pod behind its sidecar, and tells it what Kubernetes would", async () => {
    mesh = await startSupervisor(root, config);
    const web = await workloadIs("web", { ready: true });
    expect(web.address).toMatch(/^127\.\d+\.\d+\.\d+$/);
    const { env } = await ask(web);
    expect(env).toMatchObject({
      GREETING: "hello",
      HOST: "127.0.0.1",
      PORT: String(web.ports[0]?.private),
      http_proxy: `http://${web.address}:15001`,
      HTTP_PROXY: `http://${web.address}:15001`,
      NODE_USE_ENV_PROXY: "1",
      WEB_SERVICE_HOST: "10.96.0.9",
      WEB_SERVICE_PORT: "80",
    });
    expect(env).not.toHaveProperty("LATEEN_HOME");
  });

  it("leaves nothing behind when it is stopped", async () => {
    mesh = await startSupervisor(root, config);
    await workloadIs("web", { ready: true });
    const before = pids();
    expect(before).toHaveLength(4);
    await mesh.stop();
    expect(before.map(startTimeOf)).toEqual(before.map(() => undefined));
    expect(meshPid(stateDir(root))).toBeUndefined();
    await expect(socketRequest({ socketPath: stateDir(root).adminSocket, path: "/status" })).rejects.toThrow();
  });

  it("is the only one on its state directory", async () => {
    mesh = await startSupervisor(root, config);
    await expect(startSupervisor(root, config)).rejects.toMatchObject({ code: "LTN7001" });
  });

  it("follows the configuration: new pods for a new template, none for a removed Deployment", async () => {
    mesh = await startSupervisor(root, config);
    const { pod } = await workloadIs("web", { ready: true });
    config.set(workload("web", { env: "changed" }));
    const next = await vi.waitFor(async () => {
      const all = (await mesh?.status())?.workloads ?? [];
      expect(all.map((one) => one.ready && one.pod !== pod)).toEqual([true]);
      return all[0] as WorkloadStatus;
    }, patience);
    expect((await ask(next)).env.GREETING).toBe("changed");
    config.set(workload("other"));
    await workloadIs("other", { ready: true });
    await vi.waitFor(async () => expect((await mesh?.status())?.workloads).toHaveLength(1), patience);
  });

  it("ends the application of a removed pod only when every proxy knows that it is gone", async () => {
    mesh = await startSupervisor(root, config);
    const web = await workloadIs("web", { ready: true });
    const { pid } = await ask(web);
    writeFileSync(join(root, "behind"), "");
    config.set(workload("other"));
    await workloadIs("other", { ready: true });
    await workloadIs("web", { phase: "Terminating" });
    expect((await ask(web)).pid).toBe(pid);
    rmSync(join(root, "behind"));
    await vi.waitFor(async () => expect((await mesh?.status())?.workloads).toHaveLength(1), patience);
  });

  it("keeps a pod pending whose image no document matches, and says so", async () => {
    config.set(workload("web", { image: "unknown/image:1" }));
    mesh = await startSupervisor(root, config);
    const { reason } = await workloadIs("web", { ready: false, phase: "Pending" });
    await workloadIs("web", {
      reason: expect.stringContaining('matches image "unknown/image:1"') as unknown as string,
    });
    expect(typeof reason).toBe("string");
  });
});

describe("what a pod waits for", () => {
  it("may be a service that its runtime document names", async () => {
    config.set(workload("web", { image: "test/needs-other:1" }));
    mesh = await startSupervisor(root, config);
    await workloadIs("web", {
      ready: false,
      phase: "Pending",
      reason: "there is no service port other:80, which LocalRuntime default/web names",
    });
    config.set(`${workload("web", { image: "test/needs-other:1" })}---\n${workload("other")}`);
    await workloadIs("web", { ready: true, restarts: 0 });
  });

  it("may be a Secret that a volume names; nothing is tried in vain", async () => {
    const mounting = workload("web").replace(
      "      containers:\n",
      "      volumes: [{ name: certs, secret: { secretName: absent } }]\n      containers:\n",
    );
    config.set(mounting);
    mesh = await startSupervisor(root, config);
    const { reason } = await workloadIs("web", { ready: false, reason: expect.stringContaining("absent") as never });
    expect(reason).toContain("absent");
    const secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: absent }\nstringData: { key: value }\n";
    config.set(`${mounting}---\n${secret}`);
    await workloadIs("web", { ready: true, restarts: 0 });
  });
});

describe("when something dies", () => {
  it("starts a crashed application again behind the same sidecar", async () => {
    mesh = await startSupervisor(root, config);
    const web = await workloadIs("web", { ready: true });
    const proxy = pidOf("proxy of default/web");
    const before = await ask(web);
    await fetch(`http://127.0.0.1:${web.ports[0]?.private}/crash`).catch(() => undefined);
    await workloadIs("web", { ready: true, restarts: 1, pod: web.pod });
    expect((await ask(web)).pid).not.toBe(before.pid);
    expect(pidOf("proxy of default/web")).toBe(proxy);
  });

  it("waits longer before each restart of an application that cannot run", async () => {
    config.set(workload("web", { image: "test/crash:1" }));
    mesh = await startSupervisor(root, config);
    await workloadIs("web", {
      phase: "CrashLoopBackOff",
      restarts: 1,
      reason: "container web ended with code 9; back-off 10 s",
    });
  });

  it("does not try again and again when there is no such program", async () => {
    config.set(workload("web", { image: "test/absent:1" }));
    mesh = await startSupervisor(root, config);
    await workloadIs("web", {
      ready: false,
      restarts: 1,
      reason: expect.stringMatching(/(127|ENOENT).*back-off 10 s/) as unknown as string,
    });
    config.set(`${workload("web", { image: "test/absent:1" })}---\n${workload("unrelated")}`);
    await workloadIs("unrelated", { ready: true });
    // On a slow machine the ten seconds may have passed meanwhile; a loop would have made hundreds.
    const { restarts } = await workloadIs("web", { ready: false });
    expect(restarts).toBeLessThanOrEqual(2);
  });

  it("starts a killed sidecar again; the application goes on", async () => {
    mesh = await startSupervisor(root, config);
    const web = await workloadIs("web", { ready: true });
    const before = await ask(web);
    process.kill(pidOf("proxy of default/web"), "SIGKILL");
    await workloadIs("web", { ready: true, restarts: 1, pod: web.pod });
    expect((await ask(web)).pid).toBe(before.pid);
  });

  it("starts a killed control plane again; pods go on", async () => {
    mesh = await startSupervisor(root, config);
    const web = await workloadIs("web", { ready: true });
    const pid = pidOf("control-plane");
    const proxy = pidOf("proxy of default/web");
    const ports = (await mesh.status()).controlPlane.ports;
    process.kill(pid, "SIGKILL");
    await vi.waitFor(async () => {
      expect(pidOf("control-plane")).not.toBe(pid);
      expect((await mesh?.status())?.ready).toBe(true);
    }, patience);
    await workloadIs("web", { ready: true, restarts: 0, pod: web.pod });
    // On the ports it had, so that no proxy has to be told of others.
    expect((await mesh.status()).controlPlane.ports).toEqual(ports);
    expect(pidOf("proxy of default/web")).toBe(proxy);
  });

  it("cleans up after a killed supervisor at the next start", async () => {
    const child = spawn(
      process.execPath,
      ["--conditions=@lateen/source", join(import.meta.dirname, "testing/supervise.ts"), root],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await once(child.stdout, "data");
    const orphans = pids();
    expect(orphans.length).toBeGreaterThan(2);
    child.kill("SIGKILL");
    await once(child, "exit");
    mesh = await startSupervisor(root, config);
    await workloadIs("web", { ready: true });
    expect(orphans.filter((pid) => pids().includes(pid) || startTimeOf(pid) !== undefined)).toEqual([]);
  });
});

describe("a mesh that is started again", () => {
  it("asks the new control plane, not where the earlier one was", async () => {
    const { controlPlaneFile } = stateDir(root);
    writeFileSync(controlPlaneFile, JSON.stringify({ pid: 1, xds: 1111, ca: 2, config: 3, als: 4 }));
    mesh = await startSupervisor(root, config);
    await workloadIs("web", { ready: true });
    const { pid, xds } = JSON.parse(readFileSync(controlPlaneFile, "utf8")) as { pid: number; xds: number };
    expect(pid).toBe(pidOf("control-plane"));
    expect((await mesh.status()).controlPlane.ports).toMatchObject({ xds });
  });
});

describe("POST /pods/:pod/agent", () => {
  const ask = (pod: string) =>
    socketRequest({ socketPath: stateDir(root).adminSocket, path: `/pods/${pod}/agent`, method: "POST", body: {} });

  it("starts the agent of a pod once, with its token, and hands out the bootstraps", async () => {
    mesh = await startSupervisor(root, config);
    await workloadIs("web", { ready: true });
    const answers = await Promise.all([ask("web"), ask("web")]);
    const [one, other] = answers.map(({ body }) => JSON.parse(body) as AgentView);
    const [pod] = (await mesh.status()).workloads;
    expect(one).toMatchObject({ envoy: { node: { id: `sidecar~${pod?.address}~${pod?.pod}` } } });
    expect(one).toMatchObject({ grpc: { socket: one?.socket } });
    expect(other).toEqual(one);
    expect(readFileSync(join(one?.folder ?? "", "token"), "utf8").split(".")).toHaveLength(3);
    expect(statSync(join(one?.folder ?? "", "token")).mode & 0o777).toBe(0o600);
    expect(Buffer.byteLength(one?.socket ?? "")).toBeLessThanOrEqual(Buffer.byteLength(stateDir(root).controlSocket));
  });

  it("knows no agent of a pod that is not there", async () => {
    mesh = await startSupervisor(root, config);
    expect(await ask("nobody")).toMatchObject({ status: 400, body: expect.stringContaining("LTN7008") });
  });
});

describe("POST /run", () => {
  it("joins a process for as long as the connection is open", async () => {
    mesh = await startSupervisor(root, config);
    await workloadIs("web", { ready: true });
    const session = await openSocketRequest({
      socketPath: stateDir(root).adminSocket,
      path: "/run",
      body: { service: "visitor", port: 1 },
      timeoutMs: 0,
    });
    session.setEncoding("utf8");
    const [line] = (await once(session, "data")) as [string];
    const event = JSON.parse(line) as RunEvent;
    expect(event).toMatchObject({ type: "joined", namespace: "default", env: { HOST: "127.0.0.1" } });
    await workloadIs("visitor", { ready: false });
    session.destroy();
    await vi.waitFor(async () => {
      expect((await mesh?.status())?.workloads.map((one) => one.workload)).toEqual(["web"]);
    }, patience);
  });

  it.each([
    [{ service: "Not A Name", port: 80 }, "--service"],
    [{ service: "ok", port: 0 }, "--port"],
    [{ service: "ok", port: 80, namespace: "../x" }, "--namespace"],
  ])("refuses %j", async (body, named) => {
    mesh = await startSupervisor(root, config);
    const answer = await socketRequest({ socketPath: stateDir(root).adminSocket, path: "/run", body, method: "POST" });
    expect(answer.status).toBe(400);
    expect(answer.body).toContain(named);
  });
});
