import type { Scope } from "@lateen/kernel";
import { keyOf, type Resource } from "@lateen/mesh-model";
import type { AcceptedObject, StateDelta, StateTopic } from "@lateen/ports";
import { type Fields, isFields } from "../client/objects.ts";

/** Which Secrets and ConfigMaps are meant: `Kind/namespace/name`, or `Kind//name` in any namespace. */
export type Wanted = ReadonlySet<string>;

/** Tells what is referred to, and again whenever that is something else. */
export interface References {
  watch(scope: Scope, receive: (wanted: Wanted) => void): void;
}

/** The credentials that accepted configuration names: of Gateways, DestinationRules, Gateway API objects and Ingresses. */
export function configReferences(topic: StateTopic<AcceptedObject>): References {
  return {
    watch(scope, receive) {
      const named = new Map<string, readonly string[]>();
      let told = false;
      topic.watch(scope, (delta) => {
        if (!take(named, delta) && told) return;
        told = true;
        receive(new Set([...named.values()].flat()));
      });
    },
  };
}

/** @returns whether something else is named. */
function take(named: Map<string, readonly string[]>, delta: StateDelta<AcceptedObject>): boolean {
  let changed = delta.snapshot && named.size > 0;
  if (delta.snapshot) named.clear();
  for (const key of delta.removed) changed = named.delete(key) || changed;
  for (const { value } of delta.upserted) {
    const key = keyOf(value.object);
    const found = referencesOf(value.object);
    if (found.join() === (named.get(key) ?? []).join()) continue;
    changed = true;
    if (found.length === 0) named.delete(key);
    else named.set(key, found);
  }
  return changed;
}

/** What one object names. */
export function referencesOf(object: Resource): readonly string[] {
  const found = new Set<string>();
  if ("spec" in object) walk(object.spec, object.metadata.namespace, found);
  return [...found].sort();
}

function walk(value: unknown, namespace: string, found: Set<string>): void {
  if (Array.isArray(value)) for (const one of value) walk(one, namespace, found);
  else if (isFields(value)) for (const [name, inner] of Object.entries(value)) field(name, inner, namespace, found);
}

function field(name: string, value: unknown, namespace: string, found: Set<string>): void {
  switch (name) {
    case "credentialName":
    case "credentialNames":
      for (const one of [value].flat()) if (typeof one === "string") credential(one, namespace, found);
      return;
    case "secretName":
      if (typeof value === "string") found.add(`Secret/${namespace}/${value}`);
      return;
    case "certificateRefs":
    case "caCertificateRefs":
      for (const one of [value].flat()) if (isFields(one)) certificateRef(one, namespace, found);
      return;
    default:
      walk(value, namespace, found);
  }
}

/** A credential is beside the proxy that uses it, wherever that is; its roots may be in a Secret of their own. */
function credential(written: string, namespace: string, found: Set<string>): void {
  const [, scheme, path = ""] = /^([a-z-]+):\/\/(.*)$/.exec(written) ?? [undefined, undefined, written];
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (name === "") return;
  if (scheme === "configmap") found.add(`ConfigMap/${namespace}/${name}`);
  else found.add(`Secret//${name}`).add(`Secret//${name}-cacert`);
}

function certificateRef(ref: Fields, own: string, found: Set<string>): void {
  const { kind = "Secret", name, namespace = own } = ref;
  if ((kind === "Secret" || kind === "ConfigMap") && typeof name === "string")
    found.add(`${kind}/${namespace}/${name}`);
}
