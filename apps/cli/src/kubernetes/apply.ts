import { TAG_LABEL } from "@lateen/adapter-kubernetes";
import { INSTALL_LABELS, INSTALLED_RESOURCES, identityOf, type KubernetesObject } from "@lateen/manifests";
import { DEFAULT_REVISION, REVISION_LABEL } from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import { clusterRefused } from "../errors.ts";
import type { Installation } from "./installation.ts";
import type { Kubectl } from "./kubectl.ts";
import { besideTags } from "./tags.ts";

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
/** Kinds that all revisions share. */
const SHARED: ReadonlySet<string> = FIRST;

/**
 * Applies an installation and removes what an earlier one had and this one has not; waits until every Deployment is rolled out.
 * @throws LTN7510 with what the cluster said.
 */
export async function applyInstallation(
  cli: Cli,
  kubectl: Kubectl,
  { objects, settings }: Installation,
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
  const rest = objects.filter(({ kind }) => !FIRST.has(kind));
  await apply(kubectl, await besideTags(kubectl, rest));
  const wanted = new Set(objects.map(identityOf));
  const stale = (await installed(kubectl)).filter(
    (object) => !wanted.has(identityOf(object)) && isOwn(object, settings.revision),
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

/** What is to be removed: one revision, or all of them; purged, with what users wrote and the CA. */
export type Removal = { readonly revision: string } | { readonly purge: boolean };

/**
 * Removes an installation. Definitions stay with everybody's rules, unless they are to be purged, and so does the namespace, where the CA is.
 * Of several revisions one can be removed: the others stay as they are, and what they share stays until the last one goes.
 * @returns how many objects were removed.
 */
export async function removeInstallation(cli: Cli, kubectl: Kubectl, removal: Removal): Promise<number> {
  const there = await installed(kubectl);
  const objects = there.filter((object) => isRemoved(object, removal, revisionsOf(there)));
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

/** Tags are made by `lateen tag`, and stay when a revision is changed. */
function isOwn(object: KubernetesObject, revision: string): boolean {
  return revisionOf(object) === revision && object.metadata.labels?.[TAG_LABEL] === undefined;
}

function isRemoved(object: KubernetesObject, removal: Removal, revisions: ReadonlySet<string>): boolean {
  if ("purge" in removal) return removal.purge || !KEPT.has(object.kind);
  const own = revisionOf(object);
  if (own !== undefined) return own === removal.revision;
  const isLast = [...revisions].every((revision) => revision === removal.revision);
  return isLast && !KEPT.has(object.kind);
}

/** Which revision an object is of; undefined: all share it. Objects of an installation from before there were revisions have no label. */
export function revisionOf({ kind, metadata }: KubernetesObject): string | undefined {
  return SHARED.has(kind) ? undefined : (metadata.labels?.[REVISION_LABEL] ?? DEFAULT_REVISION);
}

/** The revisions that objects are of. */
export function revisionsOf(objects: readonly KubernetesObject[]): ReadonlySet<string> {
  return new Set(objects.map(revisionOf).filter((revision) => revision !== undefined));
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

export async function apply(kubectl: Kubectl, items: readonly KubernetesObject[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  await kubectl.must(["apply", "--server-side", "--force-conflicts", `--field-manager=${MANAGER}`, "-f", "-"], list);
}

export async function remove(cli: Cli, kubectl: Kubectl, objects: readonly KubernetesObject[]): Promise<void> {
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
