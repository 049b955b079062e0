import { err, ok, type Result } from "@lateen/kernel";

/** How a workload is asked whether it is well. */
export type ProbeTarget =
  | {
      readonly kind: "http";
      readonly host: string | undefined;
      readonly port: number;
      readonly path: string;
      readonly https: boolean;
      readonly headers: readonly (readonly [string, string])[];
    }
  | { readonly kind: "tcp"; readonly host: string | undefined; readonly port: number }
  | { readonly kind: "grpc"; readonly port: number; readonly service: string }
  | { readonly kind: "exec"; readonly command: readonly string[] };

/** `readinessProbe` of Istio's ProxyConfig: the probe of a WorkloadGroup, as its agents get it. Times are milliseconds. */
export interface ProbeSpec {
  readonly target: ProbeTarget;
  readonly initialDelayMs: number;
  /** Default 1 s. */
  readonly timeoutMs: number;
  /** Default 10 s. */
  readonly periodMs: number;
  /** Answers in a row that make an unhealthy workload healthy. Default 1. */
  readonly successThreshold: number;
  /** Failures in a row that make a healthy workload unhealthy. Default 3. */
  readonly failureThreshold: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** The probe in a ProxyConfig; undefined without one. Errors name the field. */
export function probeOf(proxyConfig: unknown): Result<ProbeSpec | undefined, string> {
  const probe = record(record(proxyConfig)?.readinessProbe);
  if (probe === undefined) return ok(undefined);
  const target = targetOf(probe);
  if (!target.ok) return target;
  const seconds = (name: string, byDefault: number) => (positive(probe[name]) ?? byDefault) * 1000;
  return ok({
    target: target.value,
    initialDelayMs: seconds("initialDelaySeconds", 0),
    timeoutMs: seconds("timeoutSeconds", 1),
    periodMs: seconds("periodSeconds", 10),
    successThreshold: positive(probe.successThreshold) ?? 1,
    failureThreshold: positive(probe.failureThreshold) ?? 3,
  });
}

function targetOf(probe: Fields): Result<ProbeTarget, string> {
  const http = record(probe.httpGet);
  const tcp = record(probe.tcpSocket);
  const exec = record(probe.exec);
  const grpc = record(probe.grpc);
  if ([http, tcp, exec, grpc].filter((one) => one !== undefined).length !== 1) {
    return err("readinessProbe needs exactly one of httpGet, tcpSocket, exec, grpc");
  }
  if (exec !== undefined) {
    const command = Array.isArray(exec.command) ? exec.command.map(String) : [];
    return command.length > 0 ? ok({ kind: "exec", command }) : err("readinessProbe.exec needs a command");
  }
  const given = http ?? tcp ?? grpc ?? {};
  const port = positive(given.port);
  if (port === undefined || port > 65_535) return err("readinessProbe needs the number of a port");
  const host = text(given.host);
  if (grpc !== undefined) return ok({ kind: "grpc", port, service: text(grpc.service) ?? "" });
  if (http === undefined) return ok({ kind: "tcp", host, port });
  const headers = (Array.isArray(http.httpHeaders) ? http.httpHeaders : []).map(record);
  return ok({
    kind: "http",
    host,
    port,
    path: text(http.path) ?? "/",
    https: text(http.scheme)?.toUpperCase() === "HTTPS",
    headers: headers.map((one) => [text(one?.name) ?? "", text(one?.value) ?? ""] as const),
  });
}

function record(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined;
}
