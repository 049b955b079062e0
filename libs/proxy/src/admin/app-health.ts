import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { connect } from "node:net";
import { err, messageOf, ok, type Result } from "@lateen/kernel";
import { probeOnce } from "../agent/probe-ways.ts";
import { type PageEntry, text } from "./page.ts";

/** A probe of the application that the kubelet, or whoever stands for it, cannot make itself: its connection would be captured. */
export type AppProbe = {
  /** Milliseconds. */
  readonly timeoutMs: number;
  readonly port: number;
} & (
  | { readonly kind: "tcp" }
  /** gRPC's health protocol; an empty service asks for the server as a whole. */
  | { readonly kind: "grpc"; readonly service: string }
  | {
      readonly kind: "http";
      readonly secure: boolean;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
    }
);

/** Paths that injectors write: `/app-health/<container>/readyz`, `livez`, `startupz`, `/app-lifecycle/<container>/prestopz`, `poststartz`. */
const PATH = /^\/(app-health\/[^/]+\/(readyz|livez|startupz)|app-lifecycle\/[^/]+\/(prestopz|poststartz))$/;
/** From here the kernel lets connections to the application through. */
const SOURCE = "127.0.0.6";

/** Reads the injector's `ISTIO_KUBE_APP_PROBERS`. @returns what is wrong with it. */
export function parseAppProbes(source: string): Result<ReadonlyMap<string, AppProbe>, string> {
  const probes = new Map<string, AppProbe>();
  if (source === "") return ok(probes);
  let document: unknown;
  try {
    document = JSON.parse(source);
  } catch {
    return err("not JSON");
  }
  for (const [path, value] of Object.entries(record(document))) {
    if (!PATH.test(path)) return err(`"${path}" is no path of a probe`);
    const probe = appProbe(record(value));
    if (typeof probe === "string") return err(`${path}: ${probe}`);
    probes.set(path, probe);
  }
  return ok(probes);
}

function appProbe(value: Readonly<Record<string, unknown>>): AppProbe | string {
  const seconds = typeof value.timeoutSeconds === "number" ? value.timeoutSeconds : 1;
  const http = record(value.httpGet);
  const tcp = record(value.tcpSocket);
  const grpc = record(value.grpc);
  const port = http.port ?? tcp.port ?? grpc.port;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return "only httpGet, tcpSocket and grpc with a port number can be probed";
  }
  const common = { timeoutMs: seconds * 1000, port };
  if (value.grpc !== undefined) {
    return { ...common, kind: "grpc", service: typeof grpc.service === "string" ? grpc.service : "" };
  }
  if (value.httpGet === undefined) return { ...common, kind: "tcp" };
  const path = typeof http.path === "string" && http.path !== "" ? http.path : "/";
  return { ...common, kind: "http", secure: http.scheme === "HTTPS", path, headers: headersOf(http.httpHeaders) };
}

function headersOf(list: unknown): Readonly<Record<string, string>> {
  if (!Array.isArray(list)) return {};
  return Object.fromEntries(
    list.map(record).flatMap(({ name, value }) => (typeof name === "string" ? [[name, String(value ?? "")]] : [])),
  );
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** The pages that make the probes: 200 when the application is well, else 500 with the reason. */
export function appHealthPages(
  probes: ReadonlyMap<string, AppProbe>,
  address: string,
): readonly (readonly [string, PageEntry])[] {
  return Array.from(probes, ([path, probe]) => [
    path,
    {
      methods: ["GET"],
      help: "asks the application",
      page: async () => {
        const problem = await askApp(probe, address);
        return problem === undefined ? text("") : text(`${problem}\n`, 500);
      },
    },
  ]);
}

/** Undefined when the application is well. */
function askApp(probe: AppProbe, host: string): Promise<string | undefined> {
  const from = host.includes(":") ? {} : { localAddress: SOURCE };
  switch (probe.kind) {
    case "tcp":
      return askPort(probe, { ...from, host });
    case "http":
      return askHttp(probe, { ...from, host });
    case "grpc":
      return askHealth(probe, { ...from, host });
  }
}

async function askHealth(probe: Extract<AppProbe, { kind: "grpc" }>, target: Target): Promise<string | undefined> {
  const signal = AbortSignal.timeout(probe.timeoutMs);
  try {
    await probeOnce(probe, (port) => ({ ...target, port }), signal);
    return undefined;
  } catch (error) {
    return signal.aborted ? `no answer within ${probe.timeoutMs} ms` : messageOf(error);
  }
}

interface Target {
  readonly host: string;
  readonly localAddress?: string;
}

function askPort({ port, timeoutMs }: AppProbe, target: Target): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ ...target, port });
    const done = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.setTimeout(timeoutMs, () => done(`port ${port} does not answer`));
    socket.once("connect", () => done(undefined));
    socket.once("error", () => done(`nothing listens on port ${port}`));
  });
}

function askHttp(probe: Extract<AppProbe, { kind: "http" }>, target: Target): Promise<string | undefined> {
  const { port, path, timeoutMs, secure } = probe;
  const headers = { "user-agent": "kube-probe/1.34", connection: "close", ...probe.headers };
  return new Promise((resolve) => {
    const options = { ...target, port, path, headers, agent: false as const };
    // As the kubelet: a probe does not check the certificate.
    const call = secure ? secureRequest({ ...options, rejectUnauthorized: false }) : request(options);
    call.setTimeout(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.once("response", ({ statusCode = 0 }) => {
      resolve(statusCode >= 200 && statusCode < 400 ? undefined : `GET ${path} answered ${statusCode}`);
      call.destroy();
    });
    call.once("error", (error) => resolve(`GET ${path}: ${messageOf(error)}`));
    call.end();
  });
}
