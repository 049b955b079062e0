import type { SocketResponse } from "../socket-client.ts";
import type { ControlPlanePorts } from "./ports.ts";

/** Where clients find the parts of the control plane, `host:port` or several with commas between, and the names in their certificates. */
export interface ControlPlaneAddresses {
  readonly discovery: string;
  readonly ca: string;
  readonly caName: string;
  readonly config: string;
  readonly configName: string;
  readonly telemetry: string;
  readonly telemetryName: string;
  /** Ports of mixer's access-log services. */
  readonly accessLogPorts: readonly number[];
}

/** The control plane of a mesh, as one process or as many. */
export interface ControlPlane {
  /** Undefined until it has served once; kept while it is down, because it comes back on the same ports. */
  readonly ports: ControlPlanePorts | undefined;
  /** The same for clients. */
  readonly addresses: ControlPlaneAddresses | undefined;
  readonly ready: boolean;
  /** Its processes by the names of their logs. */
  readonly processes: readonly string[];
  start(): void;
  stop(graceMs: number): Promise<void>;
  /**
   * Asks it as the mesh's owner: `/config/…` and `/debug/…`.
   * @throws LTN7005 when it does not answer.
   */
  request(method: string, path: string, body?: unknown, timeoutMs?: number): Promise<SocketResponse>;
  /** GET and parse; undefined when it does not answer with JSON. */
  read(path: string): Promise<unknown>;
  /** Writes what its parts prove who they are with; called again before that runs out. */
  refreshTokens(): Promise<void>;
}

/** {@link ControlPlane.read} by {@link ControlPlane.request}. */
export async function readJson(controlPlane: Pick<ControlPlane, "request">, path: string): Promise<unknown> {
  try {
    const response = await controlPlane.request("GET", path, undefined, 5_000);
    return response.status === 200 ? JSON.parse(response.body) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The same addresses in another order for each client. Clients take the first that answers, so this is what spreads them over the replicas.
 * @param client address of the client: those that follow one another get different orders.
 */
export function spread(addresses: string, client: string): string {
  const all = addresses.split(",");
  const first = Number(/\d+$/.exec(client)?.[0] ?? 0) % all.length;
  return [...all.slice(first), ...all.slice(0, first)].join(",");
}
