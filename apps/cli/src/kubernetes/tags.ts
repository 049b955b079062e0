import { TAG_LABEL } from "@lateen/adapter-kubernetes";
import { webhookSelections } from "@lateen/injector";
import { INSTALL_LABELS, injectionWebhooks, type KubernetesObject, namesOf } from "@lateen/manifests";
import {
  controlAccount,
  DEFAULT_REVISION,
  injectionWebhookOf,
  REVISION_FORM,
  REVISION_LABEL,
} from "@lateen/mesh-model";
import { notFound, usageError } from "../errors.ts";
import type { Kubectl } from "./kubectl.ts";

const WEBHOOKS = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const RBAC = "rbac.authorization.k8s.io";
/** A selector that fits nothing: Istio's way to keep a webhook that another one stands for. */
const NEVER = { matchLabels: { "istio.io/deactivated": "never-match" } };

/** A name that stands for a revision, and the namespaces that say it. */
export interface Tag {
  readonly tag: string;
  readonly revision: string;
  readonly namespaces: readonly string[];
}

interface WebhookObject extends KubernetesObject {
  readonly webhooks?: readonly {
    readonly clientConfig?: { readonly service?: { readonly name?: string }; readonly caBundle?: string };
  }[];
}

/** The object by which a tag is known. */
export function tagWebhookOf(tag: string): string {
  return `istio-revision-tag-${tag}`;
}

/**
 * The objects of a tag: the webhook that lets pods of the tag be injected by a revision, and that revision's right to keep its trust bundle.
 * @throws LTN7501 for a name that cannot be one, LTN7504 when the revision is not installed.
 */
export async function tagObjects(
  kubectl: Kubectl,
  tag: string,
  revision: string,
): Promise<readonly KubernetesObject[]> {
  if (!REVISION_FORM.test(tag))
    throw usageError(`"${tag}" cannot be a tag`, "letters of lower case, digits and dashes");
  const own = await webhook(kubectl, injectionWebhookOf(revision));
  const { service, caBundle } = own?.webhooks?.[0]?.clientConfig ?? {};
  if (service?.name === undefined)
    throw notFound(`revision ${revision} is not installed`, `lateen install --set revision=${revision} installs it`);
  const injector = service.name;
  const labels = { ...INSTALL_LABELS, app: "sidecar-injector", [REVISION_LABEL]: revision, [TAG_LABEL]: tag };
  const name = tagWebhookOf(tag);
  const role = { name: roleOf(tag), labels };
  const account = injector === namesOf({ revision }).discovery ? "pilot" : "sidecar-injector";
  const selections = webhookSelections({ revision: tag });
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: { name, labels },
      webhooks: injectionWebhooks(selections, injector).map((each) => ({
        ...each,
        // What is written now lets it answer at once; from then on the injector keeps it.
        clientConfig: { ...(each.clientConfig as object), ...(caBundle === undefined ? {} : { caBundle }) },
      })),
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRole",
      metadata: role,
      rules: [
        {
          apiGroups: ["admissionregistration.k8s.io"],
          resources: ["mutatingwebhookconfigurations"],
          verbs: ["get", "patch"],
          resourceNames: [name],
        },
      ],
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRoleBinding",
      metadata: role,
      subjects: [{ kind: "ServiceAccount", name: controlAccount(account, revision), namespace: "istio-system" }],
      roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: role.name },
    },
  ];
}

/** What a tag is made of, by name. */
export function tagIdentities(tag: string): readonly KubernetesObject[] {
  const name = roleOf(tag);
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: { name: tagWebhookOf(tag) },
    },
    ...["ClusterRoleBinding", "ClusterRole"].map((kind) => ({ apiVersion: `${RBAC}/v1`, kind, metadata: { name } })),
  ];
}

function roleOf(tag: string): string {
  return `lateen-revision-tag-${tag}`;
}

/** All tags of the cluster. @throws LTN7510 with what the cluster said. */
export async function listTags(kubectl: Kubectl): Promise<readonly Tag[]> {
  const found = await items(kubectl, ["get", WEBHOOKS, "-l", TAG_LABEL]);
  if (found.length === 0) return [];
  const namespaces = await items(kubectl, ["get", "namespaces"]);
  return found.map(({ metadata }) => {
    const tag = metadata.labels?.[TAG_LABEL] ?? "";
    const revision = metadata.labels?.[REVISION_LABEL] ?? DEFAULT_REVISION;
    const using = namespaces.filter((namespace) => uses(namespace, tag)).map((each) => each.metadata.name);
    return { tag, revision, namespaces: using };
  });
}

function uses({ metadata: { labels = {} } }: KubernetesObject, tag: string): boolean {
  const injection = labels["istio-injection"];
  if (injection !== undefined) return tag === DEFAULT_REVISION && injection === "enabled";
  return labels[REVISION_LABEL] === tag;
}

/**
 * Objects of an installation as they are to be applied where there is a tag `default`: then that tag says who injects where no revision is
 * named, and the webhook of the default revision is asked nothing.
 */
export async function besideTags(
  kubectl: Kubectl,
  objects: readonly KubernetesObject[],
): Promise<readonly KubernetesObject[]> {
  const isBase = ({ kind, metadata }: KubernetesObject) =>
    kind === "MutatingWebhookConfiguration" && metadata.name === injectionWebhookOf(DEFAULT_REVISION);
  if (!objects.some(isBase) || (await webhook(kubectl, tagWebhookOf(DEFAULT_REVISION))) === undefined) return objects;
  return objects.map((object) => (isBase(object) ? deactivated(object) : object));
}

/** The webhook of the default revision as it is, or as it is while a tag stands for it. Undefined: there is no default revision. */
export async function baseWebhook(kubectl: Kubectl, active: boolean): Promise<KubernetesObject | undefined> {
  const found = await webhook(kubectl, injectionWebhookOf(DEFAULT_REVISION));
  const service = found?.webhooks?.[0]?.clientConfig?.service?.name;
  if (found === undefined || service === undefined) return undefined;
  const { apiVersion, kind } = found;
  const metadata = { name: found.metadata.name, labels: { ...INSTALL_LABELS, ...found.metadata.labels } };
  const webhooks = injectionWebhooks(webhookSelections({ revision: DEFAULT_REVISION }), service);
  const object = { apiVersion, kind, metadata, webhooks };
  return active ? object : deactivated(object);
}

function deactivated(object: KubernetesObject): KubernetesObject {
  const webhooks = (object.webhooks as readonly object[]).map((each) => ({
    ...each,
    namespaceSelector: NEVER,
    objectSelector: NEVER,
  }));
  return { ...object, webhooks };
}

async function webhook(kubectl: Kubectl, name: string): Promise<WebhookObject | undefined> {
  const text = await kubectl.must(["get", WEBHOOKS, name, "--ignore-not-found", "-o", "json"]);
  return text.trim() === "" ? undefined : (JSON.parse(text) as WebhookObject);
}

async function items(kubectl: Kubectl, args: readonly string[]): Promise<readonly KubernetesObject[]> {
  const { items: found } = JSON.parse(await kubectl.must([...args, "-o", "json"])) as {
    readonly items: readonly KubernetesObject[];
  };
  return found;
}
