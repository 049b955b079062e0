import { type Clock, type Scope, systemClock } from "@lateen/kernel";
import { noAccess } from "../errors.ts";
import type { ClusterAccess } from "./access.ts";
import { type ApiOptions, KubernetesApi } from "./api.ts";
import { inClusterAccess, runsInCluster } from "./in-cluster.ts";
import { kubeconfigAccess, kubeconfigFiles } from "./kubeconfig.ts";

export interface OpenOptions extends ApiOptions {
  /** File of a kubeconfig, or several separated as in `KUBECONFIG`. Default: that variable, else the pod's service account. */
  readonly kubeconfig?: string | undefined;
  /** Context of the kubeconfig; default: its current one. */
  readonly context?: string | undefined;
  /** The connections end with it. */
  readonly scope?: Scope;
  /** Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Opens the API server that this process is meant to use. Nothing is sent yet.
 * @throws LTN6505 when there is none, or its kubeconfig cannot be used.
 */
export async function openKubernetes(options: OpenOptions = {}): Promise<KubernetesApi> {
  const api = new KubernetesApi(await accessOf(options), options);
  options.scope?.defer(() => api.close());
  return api;
}

async function accessOf(options: OpenOptions): Promise<ClusterAccess> {
  const { env = process.env, context } = options;
  const clock: Clock = options.clock ?? systemClock();
  const variable = options.kubeconfig ?? env.KUBECONFIG;
  if (variable) {
    const chosen = context === undefined ? {} : { context };
    return kubeconfigAccess(kubeconfigFiles(variable), { ...chosen, clock });
  }
  if (runsInCluster(env)) return inClusterAccess({ env, clock });
  throw noAccess("no Kubernetes API server is known", "give --kubeconfig FILE, set KUBECONFIG, or run in a cluster");
}
