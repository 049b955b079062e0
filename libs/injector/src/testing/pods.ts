import { expectOk } from "@lateen/kernel";
import type { Resource } from "@lateen/mesh-model";
import { type InjectionConfig, type InjectionTexts, readInjectionConfig } from "../config/injection-config.ts";
import type { ProxyConfigs } from "../config/proxy-configs.ts";
import { injectPod } from "../inject.ts";
import { isObject, type JsonObject, objectOf, objectsOf } from "../json.ts";
import { ownerOf } from "../owner.ts";

/** A configuration that must be readable. */
export function configOf(texts: InjectionTexts = {}): InjectionConfig {
  const read = readInjectionConfig(texts);
  if (!read.ok) throw new Error(read.error.join("\n"));
  return read.value;
}

/** A pod with one web server. */
export function webPod(metadata: JsonObject = {}, spec: JsonObject = {}): JsonObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web-1", namespace: "shop", labels: { app: "web" }, ...metadata },
    spec: { containers: [{ name: "app", image: "web:1", ports: [{ name: "http", containerPort: 8080 }] }], ...spec },
  };
}

/** A ProxyConfig of a namespace. */
export function proxyConfig(namespace: string, spec: Resource<"ProxyConfig">["spec"]): Resource<"ProxyConfig"> {
  const name = JSON.stringify(spec?.selector?.matchLabels ?? {}).replace(/\W/g, "") || "all";
  return {
    apiVersion: "networking.istio.io/v1beta1",
    kind: "ProxyConfig",
    metadata: { name, namespace },
    spec,
  } as Resource<"ProxyConfig">;
}

/** The pod with its sidecar; it must get one. */
export function injected(pod: JsonObject, texts: InjectionTexts = {}, proxyConfigs: ProxyConfigs = []) {
  const injection = expectOk(outcome(pod, texts, proxyConfigs), (problems) => new Error(problems.join()));
  if (!injection.injected) throw new Error(`nothing was injected: ${injection.reason}`);
  const { metadata, spec } = injection.pod;
  const all = [...objectsOf(objectOf(spec).containers), ...objectsOf(objectOf(spec).initContainers)];
  const container = (name: string): JsonObject => {
    const found = all.find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no container ${name}`);
    return found;
  };
  return {
    pod: injection.pod,
    metadata: objectOf(metadata),
    spec: objectOf(spec),
    warnings: injection.warnings,
    container,
    env: (name: string, of = "istio-proxy") => objectsOf(container(of).env).find((each) => each.name === name)?.value,
    names: (field: string) => objectsOf(objectOf(spec)[field]).map(({ name }) => name),
  };
}

/** What becomes of a pod. */
export function outcome(pod: JsonObject, texts: InjectionTexts = {}, proxyConfigs: ProxyConfigs = []) {
  const metadata = objectOf(pod.metadata);
  const namespace = String(metadata.namespace ?? "default");
  return injectPod(pod, { namespace, owner: ownerOf(metadata, namespace) }, { ...configOf(texts), proxyConfigs });
}

/** What is wrong with a pod that must be refused. */
export function refusal(pod: JsonObject, texts: InjectionTexts = {}): readonly string[] {
  const result = outcome(pod, texts);
  if (result.ok) throw new Error("it was not refused");
  return result.error;
}

/** The value at a path of names and indexes. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, name) => (Array.isArray(inner) ? inner[Number(name)] : isObject(inner) ? inner[name] : undefined),
    value,
  );
}
