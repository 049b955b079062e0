import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, messageOf, systemClock } from "@lateen/kernel";
import { noAccess } from "../errors.ts";
import { type ClusterAccess, RereadFile } from "./access.ts";

/** Where Kubernetes mounts what a pod needs to speak to the API server. */
const SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface InClusterOptions {
  /** Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Holds `token`, `ca.crt` and `namespace`. */
  readonly dir?: string;
  readonly clock?: Clock;
}

/** Whether this process runs in a pod. */
export function runsInCluster(env: Readonly<Record<string, string | undefined>>): boolean {
  return Boolean(env.KUBERNETES_SERVICE_HOST);
}

/**
 * Access of a pod with its service account. Token and authority are read again as they are rotated.
 * @throws LTN6505 outside of a cluster, or without the account's files.
 */
export async function inClusterAccess(options: InClusterOptions = {}): Promise<ClusterAccess> {
  const { env = process.env, dir = SERVICE_ACCOUNT_DIR, clock = systemClock() } = options;
  const host = env.KUBERNETES_SERVICE_HOST;
  const port = env.KUBERNETES_SERVICE_PORT ?? "443";
  if (!host) {
    throw noAccess("this process does not run in a Kubernetes cluster", "give --kubeconfig FILE or set KUBECONFIG");
  }
  const token = new RereadFile(clock, async () => (await readFile(join(dir, "token"), "utf8")).trim());
  const ca = new RereadFile(clock, () => readFile(join(dir, "ca.crt"), "utf8"));
  try {
    await Promise.all([token.text(), ca.text()]);
  } catch (error) {
    throw noAccess(
      `the pod's service account cannot be read: ${messageOf(error)}`,
      "let the pod mount its token (automountServiceAccountToken)",
    );
  }
  const namespace = await readFile(join(dir, "namespace"), "utf8").catch(() => "default");
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    namespace: namespace.trim() || "default",
    tls: async () => ({ ca: await ca.text(), verify: true }),
    authorization: async () => `Bearer ${await token.text()}`,
    forget: () => {
      token.forget();
      ca.forget();
    },
  };
}
