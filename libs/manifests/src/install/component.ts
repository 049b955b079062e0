import type { Fields, Permissions } from "./objects.ts";

/** A port that a component listens on. */
export interface ComponentPort {
  readonly name: string;
  readonly port: number;
  /** Who may connect: anybody (default), or only pods of these components. */
  readonly from?: readonly string[];
}

/** A Service in front of a component. */
export interface ComponentService {
  readonly name: string;
  /** Of the component's ports, by name; the Service's own number where it differs. */
  readonly ports: readonly { readonly name: string; readonly port?: number; readonly appProtocol?: string }[];
  readonly type?: "LoadBalancer";
  /** Its name stands for the addresses of all replicas. */
  readonly headless?: true;
}

/** An outgoing connection that the network policy allows: to a port of other components, or of anybody. */
export interface Outgoing {
  readonly ports: readonly number[];
  readonly to?: string;
}

/** `GET` of a path answers 200; without a path, the port can be connected to. */
export interface Probe {
  readonly port: number;
  readonly path?: string;
}

/** One Deployment and everything that belongs to it. */
export interface Component {
  /** Name of the Deployment, and label `app`. */
  readonly name: string;
  /** Which image of ours, and name of the container. */
  readonly app: string;
  /** An image that is not ours. */
  readonly image?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** Rights at the API server; none: it gets no token for it. */
  readonly permissions?: Permissions;
  readonly args: readonly string[];
  readonly env?: readonly Fields[];
  readonly ports: readonly ComponentPort[];
  readonly services: readonly ComponentService[];
  /** Where readiness and liveness are asked. */
  readonly probes: { readonly ready: Probe; readonly live: Probe };
  readonly replicas: number;
  /** Scales out by CPU up to this many. */
  readonly mostReplicas?: number;
  readonly resources: Fields;
  readonly volumes: readonly { readonly volume: Fields; readonly path: string; readonly readOnly?: boolean }[];
  readonly outgoing: readonly Outgoing[];
  readonly priorityClass: string;
  readonly podAnnotations?: Readonly<Record<string, string>>;
  /** Files of a ConfigMap of its own, which has its name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Pod-level additions to the security context. */
  readonly sysctls?: readonly Fields[];
  /** Its pod ends before the next one starts: two would each have a part of what is stored. */
  readonly alone?: true;
  /** Seconds from SIGTERM to SIGKILL: longer than the program's own limit. */
  readonly graceSeconds: number;
}
