import { spawn } from "node:child_process";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { connect } from "node:net";
import { messageOf } from "@lateen/kernel";
import { killGroup } from "../process/ledger.ts";
import type { Probe } from "./types.ts";

/** One check of a container; the text says what is wrong. */
export type ProbeResult = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** How often and how patiently to check. */
export interface ProbeTiming {
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** Where a container can be asked. */
export interface ProbeTarget {
  readonly host: string;
  /** The private port of a declared container port, by number or name. */
  readonly portOf: (port: number | string) => number | undefined;
  readonly firstPort: number | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Before probe commands. Default none. */
  readonly prefix?: readonly string[];
}

/** Kubernetes' defaults: every 10 s, 1 s timeout, 1 success, 3 failures. */
export function probeTiming(probe: Probe | undefined): ProbeTiming {
  return {
    periodMs: (probe?.periodSeconds ?? 10) * 1000,
    timeoutMs: (probe?.timeoutSeconds ?? 1) * 1000,
    successThreshold: probe?.successThreshold ?? 1,
    failureThreshold: probe?.failureThreshold ?? 3,
  };
}

/** Checks a container once: by its readiness probe, else by whether its first port is open; a container without port is ready. */
export function checkContainer(probe: Probe | undefined, target: ProbeTarget): Promise<ProbeResult> {
  const { timeoutMs } = probeTiming(probe);
  if (probe?.httpGet !== undefined) return checkHttp(probe.httpGet, target, timeoutMs);
  if (probe?.exec?.command !== undefined) return checkCommand(probe.exec.command, target, timeoutMs);
  const wanted = probe?.tcpSocket?.port ?? probe?.grpc?.port;
  const port = wanted === undefined ? target.firstPort : target.portOf(wanted);
  if (port !== undefined) return checkPort(target.host, port, timeoutMs);
  if (wanted !== undefined)
    return Promise.resolve({ ok: false, reason: `the probe names port ${wanted}, which is not declared` });
  return Promise.resolve({ ok: true });
}

/** The port on which proxies make the probes of applications that cannot be reached from outside. */
const PROXY_STATUS_PORT = 15_020;

/** Asks a pod's proxy how its application is. */
export function askProxy(address: string, path: string, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const call = request({ host: address, port: PROXY_STATUS_PORT, path, agent: false });
    // The proxy's own limit comes first, with a better reason.
    call.setTimeout(timeoutMs + 1_000, () => call.destroy(new Error("the proxy does not answer")));
    call.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.once("end", () =>
        resolve(response.statusCode === 200 ? { ok: true } : { ok: false, reason: body.trim() }),
      );
    });
    call.once("error", (error) => resolve({ ok: false, reason: messageOf(error) }));
    call.end();
  });
}

function checkHttp(probe: NonNullable<Probe["httpGet"]>, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const port = target.portOf(probe.port);
  if (port === undefined) {
    return Promise.resolve({ ok: false, reason: `the probe names port ${probe.port}, which is not declared` });
  }
  const secure = probe.scheme?.toUpperCase() === "HTTPS";
  const headers: Record<string, string> = { "user-agent": "kube-probe/1.34", connection: "close" };
  for (const header of probe.httpHeaders ?? [])
    if (header.name !== undefined) headers[header.name] = header.value ?? "";
  return new Promise((resolve) => {
    const options = { host: target.host, port, path: probe.path ?? "/", headers, agent: false as const };
    const answered = (status: number | undefined) => {
      const good = status !== undefined && status >= 200 && status < 400;
      resolve(good ? { ok: true } : { ok: false, reason: `GET ${options.path} answered ${status}` });
    };
    // As the kubelet: a probe does not check the certificate.
    const call = secure ? secureRequest({ ...options, rejectUnauthorized: false }) : request(options);
    call.setTimeout(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.once("response", (response) => {
      response.resume();
      answered(response.statusCode);
    });
    call.once("error", (error) => resolve({ ok: false, reason: `GET ${options.path}: ${messageOf(error)}` }));
    call.end();
  });
}

function checkPort(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (result: ProbeResult) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => done({ ok: false, reason: `${host}:${port} does not answer` }));
    socket.once("connect", () => done({ ok: true }));
    socket.once("error", () => done({ ok: false, reason: `nothing listens on ${host}:${port} yet` }));
  });
}

function checkCommand(command: readonly string[], target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const [program = "", ...args] = [...(target.prefix ?? []), ...command];
    const child = spawn(program, args, { env: target.env, cwd: target.cwd, stdio: "ignore", detached: true });
    const timer = setTimeout(() => child.pid !== undefined && killGroup(child.pid, "SIGKILL"), timeoutMs);
    const done = (result: ProbeResult) => {
      clearTimeout(timer);
      resolve(result);
    };
    child.once("error", (error) => done({ ok: false, reason: `probe command: ${messageOf(error)}` }));
    child.once("exit", (code) =>
      done(code === 0 ? { ok: true } : { ok: false, reason: `probe command ended with ${code ?? "a signal"}` }),
    );
  });
}
