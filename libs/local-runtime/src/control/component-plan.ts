import { join } from "node:path";
import type { StateDir } from "../state-dir.ts";
import type { NatsAccess } from "./nats-process.ts";
import { CANONICAL_PORTS } from "./ports.ts";

/** A component of the control plane that runs as a process of its own. */
export type ComponentKind = "citadel" | "galley" | "pilot" | "mixer";

/** In the order in which they need each other. */
export const COMPONENT_KINDS: readonly ComponentKind[] = ["citadel", "galley", "pilot", "mixer"];

/** What a component listens on: option of the app → the port it has where it can have it. */
export const COMPONENT_PORTS: Readonly<Record<ComponentKind, Readonly<Record<string, number>>>> = {
  citadel: { ca: CANONICAL_PORTS.ca, metrics: 0 },
  galley: { config: CANONICAL_PORTS.config, metrics: 0 },
  pilot: { xds: CANONICAL_PORTS.xds, http: CANONICAL_PORTS.http, metrics: CANONICAL_PORTS.metrics },
  mixer: { telemetry: CANONICAL_PORTS.als, prometheus: CANONICAL_PORTS.prometheus, metrics: 0 },
};

/** One replica. */
export interface Component {
  readonly kind: ComponentKind;
  /** `pilot-1` … */
  readonly name: string;
  /** Service account of `istio-system`. */
  readonly serviceAccount: string;
  /** Token, root certificate, key and certificate. */
  readonly folder: string;
  /** Where its owner asks it; not every kind has one. */
  readonly socket: string | undefined;
  /** By option: `xds` is `--xds-port`. */
  readonly ports: Readonly<Record<string, number>>;
}

/** The replicas of a control plane with their places; ports by {@link ComponentPlanOptions.portOf}. */
export async function componentPlan(options: {
  readonly state: StateDir;
  readonly replicas: number;
  /** A free port, the wanted one if it can be had. */
  readonly portOf: (wanted: number) => Promise<number>;
}): Promise<readonly Component[]> {
  const { state, replicas, portOf } = options;
  const components: Component[] = [];
  for (const kind of COMPONENT_KINDS) {
    for (let replica = 1; replica <= replicas; replica++) {
      const name = `${kind}-${replica}`;
      const ports: Record<string, number> = {};
      for (const [option, usual] of Object.entries(COMPONENT_PORTS[kind]))
        ports[option] = await portOf(replica === 1 ? usual : 0);
      components.push({
        kind,
        name,
        serviceAccount: `istio-${kind}-service-account`,
        folder: join(state.components, name),
        socket: kind === "galley" || kind === "pilot" ? join(state.root, `${name}.sock`) : undefined,
        ports,
      });
    }
  }
  return components;
}

/** What all components are told. */
export interface ComponentContext {
  readonly state: StateDir;
  readonly host: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  readonly configPaths: readonly string[];
  /** How to reach NATS; undefined without it. */
  readonly nats?: NatsAccess | undefined;
}

/** `host:port` of every replica of a kind, with commas between. */
export function addressesOf(
  components: readonly Component[],
  kind: ComponentKind,
  option: string,
  host: string,
): string {
  return portsOf(components, kind, option)
    .map((port) => `${host}:${port}`)
    .join(",");
}

/** The ports of every replica of a kind. */
export function portsOf(components: readonly Component[], kind: ComponentKind, option: string): readonly number[] {
  return components.flatMap((one) => (one.kind === kind ? [one.ports[option] ?? 0] : []));
}

/** Options that a component is started with. */
export function componentFlags(
  component: Component,
  all: readonly Component[],
  context: ComponentContext,
): readonly string[] {
  const { state, host, trustDomain } = context;
  const flags: Record<string, string> = {
    host,
    "http-host": "127.0.0.1",
    "trust-domain": trustDomain,
    "token-public-key": state.tokenPub,
    "ports-file": join(component.folder, "ports.json"),
    ...(component.socket === undefined ? {} : { "control-socket": component.socket }),
    ...Object.fromEntries(Object.entries(component.ports).map(([option, port]) => [`${option}-port`, String(port)])),
    ...ownFlags(component, all, context),
  };
  const paths = component.kind === "galley" ? context.configPaths.flatMap((path) => ["--config", path]) : [];
  return [...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]), ...paths];
}

function ownFlags(
  { kind, folder }: Component,
  all: readonly Component[],
  { state, host, clusterId, nats }: ComponentContext,
): Readonly<Record<string, string>> {
  if (kind === "citadel") return { "ca-dir": state.ca };
  const identified = { "run-dir": folder, "ca-address": addressesOf(all, "citadel", "ca", host) };
  switch (kind) {
    case "galley":
      return { ...identified, ...natsFlags(nats), "state-dir": state.config };
    case "pilot":
      return {
        ...identified,
        ...natsFlags(nats),
        "galley-address": addressesOf(all, "galley", "config", host),
        registry: state.podsFile,
        "issuer-keys": state.issuerKeys,
        "cluster-id": clusterId,
      };
    case "mixer":
      return { ...identified, ...natsFlags(nats), "galley-address": addressesOf(all, "galley", "config", host) };
  }
}

function natsFlags(nats: NatsAccess | undefined): Readonly<Record<string, string>> {
  if (nats === undefined) return {};
  return {
    "nats-url": nats.url,
    ...(nats.credentials === undefined
      ? {}
      : { "nats-credentials": nats.credentials, "nats-credentials-kind": "user" }),
  };
}
