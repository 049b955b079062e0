import { type Logger, messageOf } from "@lateen/kernel";
import type { KubernetesApi } from "./api.ts";

/** The minor version in `1.34`, `v1.34.2` or `v1.34.2+k3s1`; undefined for anything else. */
export function minorOf(version: string | undefined): number | undefined {
  const minor = /^v?1\.(\d{1,3})(\D|$)/.exec(version ?? "")?.[1];
  return minor === undefined ? undefined : Number(minor);
}

/** Which Kubernetes 1.x the API server is; undefined when it does not say. */
export async function askMinor(api: KubernetesApi, logger: Logger): Promise<number | undefined> {
  try {
    const version = (await api.request({ method: "GET", path: "/version" })) as { gitVersion?: unknown };
    return minorOf(String(version.gitVersion));
  } catch (error) {
    logger.warn({ event: "kubernetes.version_unknown", reason: messageOf(error) });
    return undefined;
  }
}
