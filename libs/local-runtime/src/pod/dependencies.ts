import type { Clock } from "@lateen/kernel";
import type { ControlPlaneAddresses } from "../control/control-plane.ts";
import type { AddressPool } from "../net/addresses.ts";
import type { PrivatePorts } from "../net/loopback.ts";
import type { PodNetwork } from "../net/pod-network.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import type { StartGate } from "../process/start-gate.ts";
import type { StateDir } from "../state-dir.ts";
import type { World } from "../world.ts";
import type { ImageRule } from "./image-match.ts";

/** Where a gateway's listener is really bound. */
export interface PortBinding {
  readonly port: number;
  readonly address: string;
  readonly bindPort: number;
}

/** What pods share: pools, the configuration, and how to start things. */
export interface PodDependencies {
  readonly clock: Clock;
  readonly state: StateDir;
  readonly world: World;
  readonly network: PodNetwork;
  readonly serviceAddresses: AddressPool;
  readonly privatePorts: PrivatePorts;
  readonly ledger: ProcessLedger;
  readonly setpriv: string | undefined;
  readonly startGate: StartGate;
  /** Environment that every container gets. */
  readonly inherited: ReadonlyMap<string, string>;
  /** Environment of the proxies. */
  readonly ownEnvironment: ReadonlyMap<string, string>;
  /** Program and first arguments of the sidecar app. */
  readonly sidecar: readonly string[];
  /** Program and first arguments of the agent app. */
  readonly agent: readonly string[];
  readonly clusterId: string;
  readonly meshId: string;
  readonly trustDomain: string;
  readonly domain: string;
  readonly rootPem: string;
  readonly rules: () => readonly ImageRule[];
  readonly controlPlane: () => ControlPlaneAddresses | undefined;
  readonly gatewayBindings: (podAddress: string) => readonly PortBinding[];
  readonly mintToken: (pod: {
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly name: string;
  }) => string;
  readonly onChange: () => void;
  readonly onLine: (line: PodLine) => void;
}

/** A line that something in a pod printed. */
export interface PodLine {
  readonly namespace: string;
  readonly pod: string;
  readonly workload: string;
  /** `app` for containers, `proxy` for the sidecar. */
  readonly source: "app" | "proxy";
  readonly container: string;
  readonly stream: "stdout" | "stderr";
  readonly line: string;
}
