import type { Gateway, KubernetesGateway } from "@lateen/mesh-model";
import { keyPairProblem } from "./certificates.ts";
import type { Problem } from "./conditions.ts";
import { GATEWAY_GROUP } from "./names.ts";
import { permitted } from "./references.ts";
import type { ConvertWorld } from "./world.ts";

export type Listener = NonNullable<KubernetesGateway["spec"]["listeners"]>[number];
type ServerTls = NonNullable<NonNullable<Gateway["spec"]["servers"]>[number]["tls"]>;
type RouteKind = "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute";

/** A listener with what is wrong with it; without problems it is served. */
export interface CheckedListener {
  readonly listener: Listener;
  /** Kinds of routes that may attach. */
  readonly kinds: readonly RouteKind[];
  readonly problems: readonly Problem[];
  /** Kinds that were asked for and cannot attach; the listener is served to the others. */
  readonly kindProblems: readonly Problem[];
  readonly tls: ServerTls | undefined;
}

/** Listeners in written order. Of those that contradict each other on a port none is served: no one of them is the right one. */
export function checkListeners(gateway: KubernetesGateway, world: ConvertWorld): readonly CheckedListener[] {
  const listeners = gateway.spec.listeners ?? [];
  const supported = listeners.filter((listener) => possibleKinds(listener).length > 0);
  return listeners.map((listener) => {
    const problems: Problem[] = [];
    const possible = possibleKinds(listener);
    if (possible.length === 0) {
      problems.push({ reason: "UnsupportedProtocol", message: `protocol ${listener.protocol} is not supported` });
    }
    if (RESERVED_PORTS.has(listener.port)) {
      problems.push({ reason: "PortUnavailable", message: `port ${listener.port} is the gateway's own` });
    }
    problems.push(...conflicts(listener, supported));
    const { kinds, kindProblems } = allowedKinds(listener, possible);
    const tls = serverTls(gateway, listener, world);
    problems.push(...tls.problems);
    return { listener, kinds, problems, kindProblems, tls: tls.tls };
  });
}

/** Kinds of routes that a listener's protocol can serve. */
export function possibleKinds(listener: Listener): readonly RouteKind[] {
  switch (listener.protocol) {
    case "HTTP":
    case "HTTPS":
      return ["HTTPRoute", "GRPCRoute"];
    case "TLS":
      return listener.tls?.mode === "Passthrough" ? ["TLSRoute"] : ["TCPRoute"];
    case "TCP":
      return ["TCPRoute"];
    default:
      return [];
  }
}

/** The kinds that `allowedRoutes` leaves. */
export function allowedKinds(
  listener: Listener,
  possible: readonly RouteKind[] = possibleKinds(listener),
): { readonly kinds: readonly RouteKind[]; readonly kindProblems: readonly Problem[] } {
  const wanted = listener.allowedRoutes?.kinds ?? [];
  if (wanted.length === 0) return { kinds: possible, kindProblems: [] };
  const named = (kind: RouteKind) =>
    wanted.some((entry) => (entry.group ?? GATEWAY_GROUP) === GATEWAY_GROUP && entry.kind === kind);
  const kinds = possible.filter(named);
  const served = wanted.every(
    ({ group = GATEWAY_GROUP, kind }) => group === GATEWAY_GROUP && kinds.some((it) => it === kind),
  );
  return {
    kinds,
    kindProblems: served
      ? []
      : [{ reason: "InvalidRouteKinds", message: `protocol ${listener.protocol} serves ${possible.join(", ")} only` }],
  };
}

/** What the first bytes on the port are. */
function wire(listener: Listener): "http" | "tls" | "bytes" {
  if (listener.protocol === "HTTP") return "http";
  return listener.protocol === "TCP" ? "bytes" : "tls";
}

/** Ports that every gateway proxy listens on itself: admin, agent, readiness and metrics. */
export const RESERVED_PORTS: ReadonlySet<number> = new Set([15000, 15020, 15021, 15090]);

function conflicts(listener: Listener, supported: readonly Listener[]): readonly Problem[] {
  const same = supported.filter((other) => other !== listener && other.port === listener.port);
  const other = same.find((candidate) => wire(candidate) !== wire(listener));
  if (other !== undefined) {
    const message = `port ${listener.port} is ${other.protocol} for listener ${other.name}`;
    return [{ reason: "ProtocolConflict", message }];
  }
  const twin = same.find((candidate) => (candidate.hostname ?? "") === (listener.hostname ?? ""));
  if (twin === undefined) return [];
  const message = `port ${listener.port} serves hostname "${listener.hostname ?? "*"}" for listener ${twin.name}`;
  return [{ reason: "HostnameConflict", message }];
}

const TERMINATE_MODE = "gateway.istio.io/tls-terminate-mode";

function serverTls(
  gateway: KubernetesGateway,
  listener: Listener,
  world: ConvertWorld,
): { readonly tls: ServerTls | undefined; readonly problems: readonly Problem[] } {
  const { tls } = listener;
  if (tls === undefined || wire(listener) !== "tls") return { tls: undefined, problems: [] };
  if (tls.mode === "Passthrough") return { tls: { mode: "PASSTHROUGH" }, problems: [] };
  const mode = (tls.options?.[TERMINATE_MODE] ?? "SIMPLE") as NonNullable<ServerTls["mode"]>;
  if (mode === "ISTIO_MUTUAL") return { tls: { mode }, problems: [] };
  const [ref] = tls.certificateRefs ?? [];
  if (ref === undefined) {
    return { tls: undefined, problems: [{ reason: "InvalidCertificateRef", message: "no certificate is named" }] };
  }
  const { group = "", kind = "Secret", name, namespace = gateway.metadata.namespace } = ref;
  const problem = certificateProblem({ group, kind, name, namespace }, gateway, world);
  return {
    tls: { mode, credentialName: `kubernetes-gateway://${namespace}/${name}` },
    problems: problem === undefined ? [] : [problem],
  };
}

function certificateProblem(
  ref: { readonly group: string; readonly kind: string; readonly namespace: string; readonly name: string },
  gateway: KubernetesGateway,
  world: ConvertWorld,
): Problem | undefined {
  const text = `${ref.kind} ${ref.namespace}/${ref.name}`;
  if (ref.group !== "" || ref.kind !== "Secret") {
    return { reason: "InvalidCertificateRef", message: `a certificate is a Secret, not a ${ref.kind}` };
  }
  if (!permitted(world, { kind: "Gateway", namespace: gateway.metadata.namespace }, ref)) {
    const message = `no ReferenceGrant in ${ref.namespace} lets Gateways of ${gateway.metadata.namespace} use ${text}`;
    return { reason: "RefNotPermitted", message };
  }
  const secret = world.secret(ref.namespace, ref.name);
  if (secret === undefined) return { reason: "InvalidCertificateRef", message: `${text} does not exist` };
  const [chain = "", key = ""] = [secret.data?.["tls.crt"], secret.data?.["tls.key"]].map(decoded);
  const problem = keyPairProblem(chain, key);
  return problem === undefined
    ? undefined
    : { reason: "InvalidCertificateRef", message: `${text} cannot be used: ${problem}` };
}

function decoded(base64: string | undefined): string {
  return Buffer.from(base64 ?? "", "base64").toString("latin1");
}
