import { canonicalRevisionOf } from "@lateen/mesh-model";
import { type JsonObject, objectOf, objectsOf, textOf, textsOf } from "./json.ts";
import type { TemplateContext } from "./template/context.ts";
import { INIT, PROXY } from "./template/names.ts";

/** Annotation that says what was injected. */
export const STATUS_ANNOTATION = "sidecar.istio.io/status";

/** Parts of a pod, metadata and spec. */
export interface PodParts {
  readonly metadata: JsonObject;
  readonly spec: JsonObject;
}

/**
 * Brings containers into the order in which they start: rules, proxy, the rest where the proxy is a native sidecar, so that init containers are
 * in the mesh too; otherwise the rules come last of the init containers, which would find no proxy behind them, and the proxy first of the
 * containers when applications wait for it.
 */
export function inOrder(spec: JsonObject, { native, settings }: TemplateContext): JsonObject {
  const containers = objectsOf(spec.containers);
  const init = objectsOf(spec.initContainers);
  const [rules, others] = [init.filter(({ name }) => name === INIT), init.filter(({ name }) => name !== INIT)];
  const ordered = native ? [...rules, ...proxyFirst(others)] : [...others, ...rules];
  const last = [...containers.filter(({ name }) => name !== PROXY), ...containers.filter(({ name }) => name === PROXY)];
  return {
    ...spec,
    containers: settings.hold ? proxyFirst(containers) : last,
    ...(spec.initContainers === undefined && ordered.length === 0 ? {} : { initContainers: ordered }),
  };
}

function proxyFirst(containers: readonly JsonObject[]): readonly JsonObject[] {
  return [...containers.filter(({ name }) => name === PROXY), ...containers.filter(({ name }) => name !== PROXY)];
}

/** Labels that peers, telemetry and policies go by; what the pod says itself stays. */
export function injectedLabels({ metadata, owner, config }: TemplateContext): Readonly<Record<string, string>> {
  const labels = textsOf(metadata.labels);
  const canonical =
    labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels.app ?? owner.name;
  const wanted: Readonly<Record<string, string>> = {
    "security.istio.io/tlsMode": "istio",
    "service.istio.io/canonical-name": canonical,
    "service.istio.io/canonical-revision": canonicalRevisionOf(labels),
    "istio.io/rev": config.revision,
  };
  // A name may be longer than a label can be.
  return Object.fromEntries(
    Object.entries(wanted).filter(([name, value]) => labels[name] === undefined && value !== "" && value.length <= 63),
  );
}

/** What the templates added, as JSON for {@link STATUS_ANNOTATION}; the names that Istio's tools read. */
export function injectionStatus(before: JsonObject, after: JsonObject, revision: string): string {
  const added = (field: string): readonly string[] | null => {
    const had = new Set(objectsOf(before[field]).map(({ name }) => name));
    const names = objectsOf(after[field]).flatMap(({ name }) => {
      const text = textOf(name);
      return text === undefined || had.has(text) ? [] : [text];
    });
    return names.length === 0 ? null : names;
  };
  return JSON.stringify({
    initContainers: added("initContainers"),
    containers: added("containers"),
    volumes: added("volumes"),
    imagePullSecrets: added("imagePullSecrets"),
    revision,
  });
}

/** Whether a pod carries a sidecar that was injected. */
export function isInjected({ metadata, spec }: PodParts): boolean {
  const all = [...objectsOf(spec.containers), ...objectsOf(spec.initContainers)];
  return (
    textOf(objectOf(metadata.annotations)[STATUS_ANNOTATION]) !== undefined && all.some(({ name }) => name === PROXY)
  );
}
