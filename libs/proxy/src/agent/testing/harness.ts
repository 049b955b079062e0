import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAds, connectAls, signCsr } from "@lateen/adapter-grpc";
import { type Clock, Scope, seededRandom, silentLogger, systemClock } from "@lateen/kernel";
import type { AgentConfig } from "../options.ts";
import { runAgent } from "../run-agent.ts";
import { SERVER_NAME, TestControlPlane } from "./control-plane.ts";
import { fakeWorker } from "./fake-worker.ts";
import { edsCluster, endpoints, httpListener, routes, tcpListener } from "./resources.ts";

const undo: (() => Promise<unknown>)[] = [];

/** The run directory of the present test. */
export let runDir = "";

/** What a test started ends after it, in reverse order. */
export function cleanUp(step: () => Promise<unknown>): void {
  undo.push(step);
}

/** The test runner's hooks. */
interface Hooks {
  beforeEach(run: () => Promise<void>): void;
  afterEach(run: () => Promise<void>): void;
}

/** Gives every test of a file a run directory and an end. */
export function useRunDirectory({ beforeEach, afterEach }: Hooks): void {
  beforeEach(async () => {
    runDir = await mkdtemp(join(tmpdir(), "lateen-agent-"));
    undo.push(() => rm(runDir, { recursive: true }));
  });
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });
}

/** Lets I/O happen until the check holds; the test's time limit ends what never comes. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setImmediate(resolve));
}

export async function controlPlane(clock: Clock = systemClock()): Promise<TestControlPlane> {
  const plane = new TestControlPlane(clock);
  await plane.start();
  undo.push(() => plane.stop());
  return plane;
}

export async function provision(plane: TestControlPlane): Promise<void> {
  await writeFile(join(runDir, "token"), "shop/web\n");
  await writeFile(join(runDir, "root-cert.pem"), plane.ca.rootPem);
}

export function configOf(address: string | undefined, more: Partial<AgentConfig> = {}): AgentConfig {
  return {
    facts: {
      role: "sidecar",
      podName: "web-1",
      namespace: "shop",
      instanceIp: "127.0.0.1",
      serviceAccount: "web",
      workloadName: "web",
      clusterId: "local",
      meshId: "mesh",
      trustDomain: "cluster.local",
      domain: "cluster.local",
      labels: { app: "web" },
      podPorts: [],
      metadata: {},
    },
    runDir,
    discoveryAddress: address,
    caAddress: address,
    telemetryAddress: undefined,
    serverName: SERVER_NAME,
    captureFile: undefined,
    envoyConfigFile: undefined,
    adminAddress: undefined,
    statusAddress: undefined,
    adminPort: 0,
    statusPort: 0,
    healthPort: 0,
    statsPort: 0,
    concurrency: 1,
    maxConnections: 100,
    certTtlMs: 3_600_000,
    drainTimeMs: 100,
    version: "0.0.0",
    logLevel: "info",
    ...more,
  };
}

export async function start(config: AgentConfig, clock: Clock = systemClock()) {
  const scope = new Scope();
  const quits: number[] = [];
  undo.push(() => scope.close());
  const agent = await runAgent(
    config,
    {
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      httpFilters: [],
      networkFilters: [],
      workerEntry: fakeWorker,
      loadClients: async () => ({ connectAds, connectAls, signCsr }),
      quit: () => void quits.push(1),
    },
    scope,
  );
  const ask = (port: number | undefined, path: string, options: { method?: string; headers?: object } = {}) =>
    call(port ?? 0, path, options);
  const admin = (path: string, options = {}) => ask(agent.ports.admin, path, options);
  const json = async (path: string) => JSON.parse((await admin(path)).body);
  return { agent, scope, quits, ask, admin, json };
}

/** fetch() may not set Host. */
function call(port: number, path: string, { method = "GET", headers = {} }: { method?: string; headers?: object }) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method, headers: { ...headers } }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** A small mesh: one cluster, a listener with RDS, one with mutual TLS. */
export const mesh = () => [
  edsCluster("reviews"),
  endpoints("reviews", "10.0.0.1"),
  httpListener("http", "routes"),
  routes("routes", "reviews"),
  tcpListener("mtls", "reviews", { certificate: "default", trust: "ROOTCA" }),
];
