import { err, messageOf, ok, type Result } from "@lateen/kernel";
import { valueFromText } from "@lateen/mesh-model";
import type { InjectionConfig } from "./config/injection-config.ts";
import { type DecisionReason, decideInjection } from "./decision.ts";
import { injectedLabels, injectionStatus, inOrder, isInjected, type PodParts, STATUS_ANNOTATION } from "./finish.ts";
import { compact, isObject, type JsonObject, objectOf, objectsOf, textOf, textsOf } from "./json.ts";
import { mergeOver } from "./merge.ts";
import type { PodOwner } from "./owner.ts";
import { rewriteProbes } from "./probes.ts";
import { mergePrometheus } from "./prometheus.ts";
import { type PodSettings, podSettings } from "./settings.ts";
import { PROXY_ID, proxyImage, type TemplateContext } from "./template/context.ts";
import { type BuiltInTemplate, INIT, PROXY } from "./template/names.ts";
import { gatewayTemplate, sidecarTemplate } from "./template/sidecar.ts";

/** What is known of a pod beside itself. */
export interface PodPlace {
  /** Where it is going to be; a pod that is only being created may not say so itself. */
  readonly namespace: string;
  readonly owner: PodOwner;
  /** @see DecisionInput.namespaceLabels */
  readonly namespaceLabels?: Readonly<Record<string, string>> | undefined;
  readonly cluster?: string | undefined;
  readonly network?: string | undefined;
}

/** What became of a pod. */
export type Injection =
  | { readonly injected: true; readonly pod: JsonObject; readonly warnings: readonly string[] }
  | { readonly injected: false; readonly reason: DecisionReason };

const BUILT_IN: Readonly<Record<BuiltInTemplate, (context: TemplateContext) => JsonObject>> = {
  sidecar: sidecarTemplate,
  gateway: gatewayTemplate,
};

/**
 * Puts a sidecar into a pod, or into the template of one: anything with `metadata` and `spec`. Fields that are not about the sidecar stay as
 * they are. A pod that has one stays as it is.
 * @returns everything that is wrong with the pod's annotations, or with the result of a template.
 */
export function injectPod(
  pod: JsonObject,
  place: PodPlace,
  config: InjectionConfig,
): Result<Injection, readonly string[]> {
  const metadata = objectOf(pod.metadata);
  const spec = objectOf(pod.spec);
  const annotations = textsOf(metadata.annotations);
  const decision = decideInjection(
    {
      namespace: place.namespace,
      namespaceLabels: place.namespaceLabels,
      labels: textsOf(metadata.labels),
      annotations,
      hostNetwork: spec.hostNetwork === true,
      injected: isInjected({ metadata, spec }),
    },
    config,
  );
  if (!decision.inject) return ok({ injected: false, reason: decision.reason });
  if (!Array.isArray(spec.containers)) return err(["spec.containers: must be a list"]);
  const settings = podSettings({ namespace: place.namespace, labels: textsOf(metadata.labels), annotations }, config);
  if (!settings.ok) return settings;
  const prepared = prepare({ metadata, spec }, place, settings.value, config);
  const rendered = render(prepared);
  if (!rendered.ok) return rendered;
  return ok({
    injected: true,
    pod: { ...pod, ...finish(prepared, rendered.value, { metadata, spec }) },
    warnings: [...settings.value.warnings, ...warningsOf(prepared.context)],
  });
}

interface Prepared {
  readonly context: TemplateContext;
  /** The pod without what its author says about the proxy. */
  readonly parts: PodParts;
  /** What its author says about containers of ours; it wins over the templates. */
  readonly own: readonly JsonObject[];
  readonly prometheus: Readonly<Record<string, string>>;
}

function prepare(
  { metadata, spec }: PodParts,
  place: PodPlace,
  settings: PodSettings,
  config: InjectionConfig,
): Prepared {
  const isOurs = ({ name }: JsonObject): boolean => name === PROXY || name === INIT;
  const all = { containers: objectsOf(spec.containers), initContainers: objectsOf(spec.initContainers) };
  const others = {
    containers: all.containers.filter((each) => !isOurs(each)),
    initContainers: all.initContainers.filter((each) => !isOurs(each)),
  };
  const hasStatus = settings.statusPort > 0;
  const probes =
    settings.rewriteProbes && hasStatus ? rewriteProbes(others, settings.statusPort) : { ...others, probers: "" };
  const merge =
    settings.prometheusMerge && hasStatus
      ? mergePrometheus(textsOf(metadata.annotations), settings.statusPort)
      : undefined;
  const context: TemplateContext = {
    ...{ metadata, spec, config, settings },
    owner: place.owner,
    native: isNative(spec, place.owner, settings, config),
    place: { cluster: place.cluster, network: place.network },
    apps: others.containers,
    probers: probes.probers,
    prometheus: merge?.original ?? "",
  };
  return {
    context,
    parts: {
      metadata,
      spec: {
        ...spec,
        containers: probes.containers,
        ...(spec.initContainers === undefined ? {} : { initContainers: probes.initContainers }),
      },
    },
    own: [
      ...settings.overrides.containers,
      ...settings.overrides.initContainers,
      ...all.initContainers,
      ...all.containers,
    ].filter(isOurs),
    prometheus: merge?.annotations ?? {},
  };
}

/** Kubernetes from which native sidecars are what every installation has, and from which they can be used at all. */
const NATIVE_BY_DEFAULT = 33;
const NATIVE_POSSIBLE = 29;

/**
 * Whether the proxy becomes an init container that keeps running: by annotation, by the installation, by Kubernetes' version. Pods that run to
 * an end get one wherever that may be possible, because with any other sidecar they would never end.
 */
function isNative(spec: JsonObject, owner: PodOwner, settings: PodSettings, config: InjectionConfig): boolean {
  if (settings.templates.includes("gateway")) return false;
  if (settings.nativeSidecar !== undefined) return settings.nativeSidecar;
  if (config.values.nativeSidecars !== "auto") return config.values.nativeSidecars === "on";
  const minor = config.kubernetesMinor;
  if (minor !== undefined && minor >= NATIVE_BY_DEFAULT) return true;
  return endsItself(spec, owner) && (minor ?? NATIVE_POSSIBLE) >= NATIVE_POSSIBLE;
}

function endsItself(spec: JsonObject, { kind }: PodOwner): boolean {
  return kind === "Job" || kind === "CronJob" || spec.restartPolicy === "Never" || spec.restartPolicy === "OnFailure";
}

/** Lays the templates over the pod, one after the other, and its author's word over them. */
function render({ context, parts, own }: Prepared): Result<PodParts, readonly string[]> {
  let pod: JsonObject = { metadata: parts.metadata, spec: parts.spec };
  for (const name of context.settings.templates) {
    const part = templatePart(name, context);
    if (!part.ok) return part;
    pod = mergeOver(pod, part.value);
  }
  const spec = objectOf(pod.spec);
  const lay = (list: unknown): readonly JsonObject[] => objectsOf(list).map((each) => withOwn(each, own));
  const unplaced = own.filter(
    ({ name }) =>
      ![...objectsOf(spec.containers), ...objectsOf(spec.initContainers)].some((each) => each.name === name),
  );
  const missing = unplaced.map(({ name }) => `container ${String(name)}: no template of this pod has it`);
  if (missing.length > 0) return err(missing);
  return ok({
    metadata: objectOf(pod.metadata),
    spec: {
      ...spec,
      containers: lay(spec.containers),
      ...(spec.initContainers === undefined ? {} : { initContainers: lay(spec.initContainers) }),
    },
  });
}

/** `image: auto` is the way to say "the one that is injected". */
function withOwn(container: JsonObject, own: readonly JsonObject[]): JsonObject {
  return own
    .filter(({ name }) => name === container.name)
    .reduce<JsonObject>((result, each) => {
      const { image, ...rest } = each;
      const named = textOf(image);
      return mergeOver(result, named === undefined || named === "auto" ? rest : each);
    }, container);
}

function templatePart(name: string, context: TemplateContext): Result<JsonObject, readonly string[]> {
  const text = context.config.templates.get(name);
  if (text === undefined) return ok(BUILT_IN[name as BuiltInTemplate](context));
  try {
    const read = valueFromText(text.render(templateData(context)), `template ${name}`);
    if (!read.ok)
      return err(
        read.error.map(({ message, origin }) => `template ${name}: line ${origin.line} of its result: ${message}`),
      );
    const { value } = read.value;
    return isObject(value) ? ok(value) : value === null ? ok({}) : err([`template ${name}: its result is no map`]);
  } catch (error) {
    return err([`template ${name}: ${messageOf(error)}`]);
  }
}

/** What templates see, under the names of Istio's. */
function templateData(context: TemplateContext): JsonObject {
  const { metadata, spec, owner, config, settings, native } = context;
  return {
    TypeMeta: { kind: owner.kind, apiVersion: owner.apiVersion },
    DeploymentMeta: { name: owner.name, namespace: owner.namespace },
    ObjectMeta: metadata,
    Spec: spec,
    ProxyConfig: { ...settings.proxyConfig, discoveryAddress: settings.discoveryAddress },
    MeshConfig: { trustDomain: config.mesh.config.trustDomain, rootNamespace: config.mesh.config.rootNamespace },
    Values: config.writtenValues,
    Revision: config.revision,
    NativeSidecars: native,
    ProxyImage: proxyImage(context),
    ProxyUID: PROXY_ID,
    ProxyGID: PROXY_ID,
  };
}

function finish({ context, prometheus }: Prepared, rendered: PodParts, before: PodParts): PodParts {
  const { config, apps } = context;
  const spec = inOrder(rendered.spec, context);
  const first = textOf(apps[0]?.name);
  const written = textsOf(rendered.metadata.annotations);
  const byDefault = (name: string, value: string | undefined) =>
    value === undefined || written[name] !== undefined ? {} : { [name]: value };
  const isOurs = ({ name }: JsonObject): boolean => name === PROXY || name === INIT;
  const without = (field: "containers" | "initContainers") =>
    objectsOf(before.spec[field]).filter((each) => !isOurs(each));
  const bare = { ...before.spec, containers: without("containers"), initContainers: without("initContainers") };
  return {
    metadata: compact({
      ...rendered.metadata,
      labels: { ...objectOf(rendered.metadata.labels), ...injectedLabels(context) },
      annotations: {
        ...config.injectedAnnotations,
        ...written,
        ...prometheus,
        ...byDefault("kubectl.kubernetes.io/default-container", first),
        ...byDefault("kubectl.kubernetes.io/default-logs-container", first),
        "istio.io/rev": config.revision,
        [STATUS_ANNOTATION]: injectionStatus(bare, spec, config.revision),
      },
    }),
    spec,
  };
}

function warningsOf({ spec, owner, native, settings, config }: TemplateContext): readonly string[] {
  const warnings: string[] = [];
  if (!native && endsItself(spec, owner)) {
    warnings.push(
      `container ${PROXY} keeps this pod from ending: let it be a native sidecar, or POST to 127.0.0.1:${settings.statusPort}/quitquitquit when the work is done`,
    );
  }
  if (native && (config.kubernetesMinor ?? NATIVE_POSSIBLE) < NATIVE_POSSIBLE) {
    warnings.push(`native sidecars need Kubernetes 1.${NATIVE_POSSIBLE}: ${PROXY} would be waited for without end`);
  }
  return warnings;
}
