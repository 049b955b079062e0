import { namespacesUnavailable } from "../errors.ts";
import type { SupervisorOptions } from "../options.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import type { StateDir } from "../state-dir.ts";
import type { ClaimedBlock } from "./loopback.ts";
import { whyNoNamespaces } from "./namespace-support.ts";
import { loopbackNetwork, namespaceNetwork, type PodNetwork } from "./pod-network.ts";

/** What a network of pods is made of. */
export interface PodNetworkParts {
  readonly state: StateDir;
  readonly block: ClaimedBlock;
  readonly ledger: ProcessLedger;
  readonly setpriv: string | undefined;
  /** Of the cluster's names. */
  readonly domain: string;
}

/** Namespaces where they are asked for and can be had. @throws LTN7016 when they cannot and nothing else will do. */
export async function choosePodNetwork(
  options: SupervisorOptions,
  { state, block, ledger, setpriv, domain }: PodNetworkParts,
): Promise<PodNetwork> {
  const { capture = "proxy-env", env, clock, random, logger, observe } = options;
  const loopback = loopbackNetwork(block.block.pods);
  if (capture === "proxy-env") return loopback;
  const reason = whyNoNamespaces(env.PATH ?? "");
  if (reason !== undefined || setpriv === undefined) {
    if (capture === "netns") throw namespacesUnavailable(reason ?? "setpriv cannot be found");
    const message = `capture by network namespaces is not possible here, applications leave through http_proxy: ${reason}`;
    observe({ type: "notice", level: "warn", message });
    return loopback;
  }
  const adminDirectory = state.admin;
  const { index } = block.block;
  return namespaceNetwork({ index, ledger, setpriv, domain, adminDirectory, clock, random, logger });
}
