import { isObject, type JsonObject, objectOf, objectsOf, textOf } from "./json.ts";

/** Probes rewritten, and what they were. */
export interface RewrittenProbes {
  readonly containers: readonly JsonObject[];
  readonly initContainers: readonly JsonObject[];
  /** ISTIO_KUBE_APP_PROBERS: original probes by path; empty when there are none. */
  readonly probers: string;
}

const PROBES = [
  ["readinessProbe", "readyz"],
  ["livenessProbe", "livez"],
  ["startupProbe", "startupz"],
] as const;
const HOOKS = [
  ["preStop", "prestopz"],
  ["postStart", "poststartz"],
] as const;

/**
 * Sends the kubelet's probes to the proxy's status port, which asks the application: the kubelet has no certificate, and its connections would
 * be captured. Probes by httpGet, tcpSocket and gRPC, and the httpGet hooks of a container's life. Commands stay, as do probes of other hosts.
 */
export function rewriteProbes(
  spec: { readonly containers: readonly JsonObject[]; readonly initContainers: readonly JsonObject[] },
  statusPort: number,
): RewrittenProbes {
  const probers: Record<string, unknown> = {};
  const rewrite = (container: JsonObject): JsonObject => rewriteContainer(container, statusPort, probers);
  const containers = spec.containers.map(rewrite);
  // Only those that keep running have probes.
  const initContainers = spec.initContainers.map((each) => (each.restartPolicy === "Always" ? rewrite(each) : each));
  return { containers, initContainers, probers: Object.keys(probers).length === 0 ? "" : JSON.stringify(probers) };
}

function rewriteContainer(container: JsonObject, statusPort: number, probers: Record<string, unknown>): JsonObject {
  const name = textOf(container.name);
  if (name === undefined) return container;
  const result: Record<string, unknown> = { ...container };
  for (const [field, path] of PROBES) {
    const probe = container[field];
    if (!isObject(probe)) continue;
    const original = proberOf(probe, container, statusPort);
    if (original === undefined) continue;
    const key = `/app-health/${name}/${path}`;
    probers[key] = { ...original, timeoutSeconds: probe.timeoutSeconds ?? 1 };
    const { httpGet: _http, tcpSocket: _tcp, grpc: _grpc, ...rest } = probe;
    result[field] = { ...rest, httpGet: { path: key, port: statusPort } };
  }
  const lifecycle = rewriteHooks(objectOf(container.lifecycle), container, { name, statusPort, probers });
  if (lifecycle !== undefined) result.lifecycle = lifecycle;
  return result;
}

interface HookPlace {
  readonly name: string;
  readonly statusPort: number;
  readonly probers: Record<string, unknown>;
}

function rewriteHooks(lifecycle: JsonObject, container: JsonObject, place: HookPlace): JsonObject | undefined {
  const { name, statusPort, probers } = place;
  let result: JsonObject | undefined;
  for (const [field, path] of HOOKS) {
    const original = proberOf(objectOf(lifecycle[field]), container, statusPort);
    if (original === undefined || !("httpGet" in original)) continue;
    const key = `/app-lifecycle/${name}/${path}`;
    probers[key] = original;
    result = { ...(result ?? lifecycle), [field]: { httpGet: { path: key, port: statusPort } } };
  }
  return result;
}

/** The probe as the status port makes it, with the number of its port. Undefined: it stays as it is. */
function proberOf(probe: JsonObject, container: JsonObject, statusPort: number): JsonObject | undefined {
  const { httpGet, tcpSocket, grpc } = probe;
  const handler = isObject(httpGet) ? httpGet : isObject(tcpSocket) ? tcpSocket : isObject(grpc) ? grpc : undefined;
  if (handler === undefined || textOf(handler.host) !== undefined) return undefined;
  const port = portNumber(handler.port, container);
  if (port === undefined || port === statusPort) return undefined;
  if (isObject(httpGet)) return { httpGet: { ...httpGet, port } };
  return isObject(tcpSocket) ? { tcpSocket: { port } } : { grpc: { ...handler, port } };
}

/** A port by its number, or by the name that the container gave it. */
function portNumber(port: unknown, container: JsonObject): number | undefined {
  if (typeof port === "number") return port;
  if (typeof port === "string" && /^\d{1,5}$/.test(port)) return Number(port);
  const named = objectsOf(container.ports).find(({ name }) => name === port)?.containerPort;
  return typeof named === "number" ? named : undefined;
}
