import { INSTALL_LABELS, INSTALLED_RESOURCES, identityOf, type KubernetesObject } from "@lateen/manifests";
import type { Cli } from "../cli.ts";
import { clusterRefused } from "../errors.ts";
import type { Installation } from "./installation.ts";
import type { Kubectl } from "./kubectl.ts";

/** The oldest minor version of Kubernetes 1.x: containers sleep before they stop without a program for it. */
export const OLDEST_MINOR = 30;
const SELECTOR = Object.entries(INSTALL_LABELS)
  .map(([name, value]) => `${name}=${value}`)
  .join(",");
const MANAGER = "lateen-install";

/** Kinds that everything else needs first. */
const FIRST: ReadonlySet<string> = new Set(["Namespace", "CustomResourceDefinition", "PriorityClass"]);
/** Kinds that hold what users wrote: they stay. */
const KEPT: ReadonlySet<string> = new Set(["Namespace", "CustomResourceDefinition"]);

/**
 * Applies an installation and removes what an earlier one had and this one has not; waits until every Deployment is rolled out.
 * @throws LTN7510 with what the cluster said.
 */
export async function applyInstallation(
  cli: Cli,
  kubectl: Kubectl,
  { objects }: Installation,
  options: { readonly wait: boolean; readonly timeout: string },
): Promise<void> {
  await checkVersion(kubectl);
  const first = objects.filter(({ kind }) => FIRST.has(kind));
  const crds = first.filter(({ kind }) => kind === "CustomResourceDefinition");
  await apply(kubectl, first);
  await kubectl.must([
    "wait",
    "--for=condition=Established",
    "--timeout=60s",
    ...crds.map(({ metadata }) => `crd/${metadata.name}`),
  ]);
  cli.err(`custom resource definitions are there: ${crds.length}\n`);
  await apply(
    kubectl,
    objects.filter(({ kind }) => !FIRST.has(kind)),
  );
  const wanted = new Set(objects.map(identityOf));
  const stale = (await installed(kubectl)).filter(
    (object) => !wanted.has(identityOf(object)) && !KEPT.has(object.kind),
  );
  await remove(cli, kubectl, stale);
  const deployments = objects.filter(({ kind }) => kind === "Deployment");
  cli.err(`applied: ${objects.length} objects${stale.length > 0 ? `, ${stale.length} of before removed` : ""}\n`);
  if (!options.wait) return;
  for (const { metadata } of deployments) {
    await kubectl.must([
      "rollout",
      "status",
      `deployment/${metadata.name}`,
      `--namespace=${metadata.namespace}`,
      `--timeout=${options.timeout}`,
    ]);
    cli.err(`ready: ${metadata.name}\n`);
  }
}

/**
 * Removes an installation. Definitions stay with everybody's rules, unless they are to be purged, and so does the namespace, where the CA is.
 * @returns how many objects were removed.
 */
export async function removeInstallation(cli: Cli, kubectl: Kubectl, purge: boolean): Promise<number> {
  const objects = (await installed(kubectl)).filter(({ kind }) => purge || !KEPT.has(kind));
  // Whoever calls webhooks must not wait for those that are gone.
  const order = (object: KubernetesObject) =>
    object.kind.endsWith("WebhookConfiguration") ? 0 : object.kind === "Namespace" ? 2 : 1;
  await remove(
    cli,
    kubectl,
    objects.toSorted((a, b) => order(a) - order(b)),
  );
  return objects.length;
}

/** Whatever of an installation is in the cluster. */
export async function installed(kubectl: Kubectl): Promise<readonly KubernetesObject[]> {
  const text = await kubectl.must([
    "get",
    INSTALLED_RESOURCES.join(","),
    "--all-namespaces",
    "-l",
    SELECTOR,
    "-o",
    "json",
  ]);
  const { items } = JSON.parse(text) as { items: readonly KubernetesObject[] };
  return items;
}

/** @throws LTN7510 for a version of Kubernetes that lacks what the installation uses. */
export async function checkVersion(kubectl: Kubectl): Promise<string> {
  const version = JSON.parse(await kubectl.must(["version", "-o", "json"])) as {
    readonly serverVersion?: { readonly minor?: string; readonly gitVersion?: string };
  };
  const { minor = "", gitVersion = "unknown" } = version.serverVersion ?? {};
  if (Number.parseInt(minor, 10) >= OLDEST_MINOR) return gitVersion;
  throw clusterRefused(
    "kubectl version",
    `the cluster runs Kubernetes ${gitVersion}; 1.${OLDEST_MINOR} or newer is needed`,
  );
}

async function apply(kubectl: Kubectl, items: readonly KubernetesObject[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  await kubectl.must(["apply", "--server-side", "--force-conflicts", `--field-manager=${MANAGER}`, "-f", "-"], list);
}

async function remove(cli: Cli, kubectl: Kubectl, objects: readonly KubernetesObject[]): Promise<void> {
  if (objects.length === 0) return;
  const items = objects.map(({ apiVersion, kind, metadata: { name, namespace } }) => ({
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  }));
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  const out = await kubectl.must(["delete", "--ignore-not-found", "-f", "-"], list);
  cli.err(out);
}
