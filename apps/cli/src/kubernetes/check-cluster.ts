import { messageOf } from "@lateen/kernel";
import type { KubernetesObject } from "@lateen/manifests";
import { checkVersion, installed } from "./apply.ts";
import type { Kubectl } from "./kubectl.ts";

/** One thing that was looked at. */
export interface CheckResult {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
}

/** What installing needs the right to make. */
const MADE = [
  "customresourcedefinitions",
  "clusterroles",
  "clusterrolebindings",
  "priorityclasses",
  "namespaces",
] as const;
const MADE_IN_NAMESPACE = [
  "deployments",
  "services",
  "configmaps",
  "serviceaccounts",
  "roles",
  "networkpolicies",
] as const;

/** Version and rights, and the state of what is installed. A cluster that cannot be reached is one failed check. */
export async function checkCluster(kubectl: Kubectl): Promise<readonly CheckResult[]> {
  try {
    const version = await checkVersion(kubectl);
    return [
      { check: "version", ok: true, message: `Kubernetes ${version}` },
      await rights(kubectl),
      ...health(await installed(kubectl)),
    ];
  } catch (error) {
    return [{ check: "cluster", ok: false, message: messageOf(error) }];
  }
}

async function rights(kubectl: Kubectl): Promise<CheckResult> {
  const asked = [
    ...MADE.map((resource) => [resource]),
    ...MADE_IN_NAMESPACE.map((resource) => [resource, "--namespace=istio-system"]),
  ];
  const refused: string[] = [];
  for (const [resource = "", ...where] of asked) {
    const { code } = await kubectl.run(["auth", "can-i", "create", resource, ...where, "--quiet"]);
    if (code !== 0) refused.push(resource);
  }
  return {
    check: "rights",
    ok: refused.length === 0,
    message:
      refused.length === 0 ? "everything that is installed may be made" : `you may not create ${refused.join(", ")}`,
  };
}

interface Deployment extends KubernetesObject {
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly availableReplicas?: number };
}

function health(objects: readonly KubernetesObject[]): readonly CheckResult[] {
  const deployments = objects.filter(({ kind }) => kind === "Deployment") as readonly Deployment[];
  if (deployments.length === 0)
    return [{ check: "installation", ok: true, message: "none; `lateen install` makes one" }];
  return deployments.map(({ metadata, spec, status }) => {
    const wanted = spec?.replicas ?? 1;
    const available = status?.availableReplicas ?? 0;
    return { check: metadata.name, ok: available >= wanted, message: `${available} of ${wanted} replicas available` };
  });
}
