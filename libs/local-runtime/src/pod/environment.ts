import { err, ok, type Result } from "@lateen/kernel";
import type { World } from "../world.ts";
import { type Machine, resourceValue } from "./resources.ts";
import { expandReferences } from "./substitute.ts";
import type { Container } from "./types.ts";

/** The facts that the downward API hands out. */
export interface PodFacts {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly ip: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly machine: Machine;
}

/** Variables of the supervisor's own environment that every local process needs; nothing else is inherited. */
const INHERITED = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM"];

/** The part of the machine's environment that containers get. */
export function inheritedEnvironment(env: Readonly<Record<string, string | undefined>>): Map<string, string> {
  const result = new Map<string, string>();
  for (const name of INHERITED) {
    const value = env[name];
    if (value !== undefined) result.set(name, value);
  }
  return result;
}

/** Settings of our own processes that may be given to the mesh as a whole, in the environment of `lateen up`. */
const OWN_SETTINGS = [
  "LATEEN_CERT_TTL",
  "LATEEN_CONCURRENCY",
  "LATEEN_DRAIN_TIME",
  "LATEEN_HEAP_REPORT",
  "LATEEN_LOG_LEVEL",
  "LATEEN_MAX_CERT_TTL",
  "LATEEN_MAX_CONNECTIONS",
  "LATEEN_QUOTA_FAIL_MODE",
  "LATEEN_REDIS_CA_FILE",
  "LATEEN_REDIS_PASSWORD_FILE",
  "LATEEN_REDIS_TIMEOUT",
  "LATEEN_REDIS_URL",
  // Where Node.js keeps compiled code: it shortens every start.
  "NODE_COMPILE_CACHE",
];

/** What control plane and proxies get: the containers' part, and settings of their own. */
export function ownEnvironment(
  inherited: ReadonlyMap<string, string>,
  env: Readonly<Record<string, string | undefined>>,
): Map<string, string> {
  const result = new Map(inherited);
  for (const name of OWN_SETTINGS) {
    const value = env[name];
    if (value !== undefined) result.set(name, value);
  }
  return result;
}

/** How an application finds its sidecar. Both cases, because programs disagree on which they read. */
export function proxyEnvironment(proxyUrl: string, direct: readonly string[]): ReadonlyMap<string, string> {
  const noProxy = ["localhost", "127.0.0.1", "::1", ...direct].join(",");
  return new Map([
    ["http_proxy", proxyUrl],
    ["HTTP_PROXY", proxyUrl],
    ["https_proxy", proxyUrl],
    ["HTTPS_PROXY", proxyUrl],
    ["no_proxy", noProxy],
    ["NO_PROXY", noProxy],
    ["NODE_USE_ENV_PROXY", "1"],
  ]);
}

/**
 * Adds the container's `envFrom` and `env` to `values`, in Kubernetes' order and with its `$(NAME)` references.
 * @returns every problem found: missing ConfigMaps, keys or unknown fields.
 */
export function addContainerEnvironment(
  container: Container,
  facts: PodFacts,
  world: World,
  values: Map<string, string>,
): Result<void, readonly string[]> {
  const problems: string[] = [];
  for (const source of container.envFrom ?? []) {
    const data = dataOf(source, facts.namespace, world);
    if (!data.ok) problems.push(data.error);
    else for (const [key, value] of Object.entries(data.value)) values.set(`${source.prefix ?? ""}${key}`, value);
  }
  for (const variable of container.env ?? []) {
    const value =
      variable.valueFrom?.resourceFieldRef === undefined
        ? variableValue(variable, facts, world, values)
        : resourceValue(variable.valueFrom.resourceFieldRef, container.resources, facts.machine);
    if (!value.ok) problems.push(`env ${variable.name}: ${value.error}`);
    else if (value.value !== undefined) values.set(variable.name, value.value);
  }
  return problems.length > 0 ? err(problems) : ok(undefined);
}

type EnvFrom = NonNullable<Container["envFrom"]>[number];
type EnvVar = NonNullable<Container["env"]>[number];

function dataOf(source: EnvFrom, namespace: string, world: World): Result<Readonly<Record<string, string>>, string> {
  const { configMapRef, secretRef } = source;
  if (configMapRef?.name !== undefined) {
    const map = world.configMap(namespace, configMapRef.name);
    if (map !== undefined) return ok(map.data ?? {});
    return configMapRef.optional ? ok({}) : err(`envFrom: ConfigMap ${namespace}/${configMapRef.name} does not exist`);
  }
  if (secretRef?.name !== undefined) {
    const secret = world.secret(namespace, secretRef.name);
    if (secret !== undefined) return ok(decodeSecret(secret));
    return secretRef.optional ? ok({}) : err(`envFrom: Secret ${namespace}/${secretRef.name} does not exist`);
  }
  return ok({});
}

/** A Secret's values as text. */
export function decodeSecret(secret: {
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    result[key] = Buffer.from(value, "base64").toString("utf8");
  }
  return { ...result, ...secret.stringData };
}

function variableValue(
  variable: EnvVar,
  facts: PodFacts,
  world: World,
  values: ReadonlyMap<string, string>,
): Result<string | undefined, string> {
  const from = variable.valueFrom;
  if (from === undefined) return ok(expandReferences(variable.value ?? "", values));
  if (from.fieldRef !== undefined) return fieldValue(from.fieldRef.fieldPath, facts);
  if (from.configMapKeyRef !== undefined) {
    const { name = "", key, optional } = from.configMapKeyRef;
    const value = world.configMap(facts.namespace, name)?.data?.[key];
    if (value !== undefined) return ok(value);
    return optional ? ok(undefined) : err(`ConfigMap ${facts.namespace}/${name} has no key "${key}"`);
  }
  if (from.secretKeyRef !== undefined) {
    const { name = "", key, optional } = from.secretKeyRef;
    const secret = world.secret(facts.namespace, name);
    const value = secret === undefined ? undefined : decodeSecret(secret)[key];
    if (value !== undefined) return ok(value);
    return optional ? ok(undefined) : err(`Secret ${facts.namespace}/${name} has no key "${key}"`);
  }
  return err("valueFrom names no source");
}

/** A downward-API field path such as `metadata.labels['app']`. */
export function fieldValue(path: string, facts: PodFacts): Result<string, string> {
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed !== null) return ok((keyed[1] === "labels" ? facts.labels : facts.annotations)[keyed[2] ?? ""] ?? "");
  switch (path) {
    case "metadata.name":
      return ok(facts.name);
    case "metadata.namespace":
      return ok(facts.namespace);
    case "metadata.uid":
      return ok(facts.uid);
    case "spec.serviceAccountName":
      return ok(facts.serviceAccount);
    case "spec.nodeName":
      return ok("localhost");
    case "status.podIP":
    case "status.podIPs":
      return ok(facts.ip);
    case "status.hostIP":
    case "status.hostIPs":
      return ok("127.0.0.1");
    default:
      return err(`fieldPath "${path}" is not available`);
  }
}
