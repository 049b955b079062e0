import { err, ok, type Result } from "@lateen/kernel";
import { diagnosticText, valueFromText } from "@lateen/mesh-model";
import { stringify } from "yaml";
import type { InjectionConfig } from "./config/injection-config.ts";
import { injectPod } from "./inject.ts";
import { isObject, type JsonObject, objectOf, sameJson, textOf } from "./json.ts";
import { ownerOf, type PodOwner } from "./owner.ts";

/** Where the template of its pods is in a workload, by kind. */
const POD_PATHS: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  Deployment: ["spec", "template"],
  DeploymentConfig: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};

/** YAML with sidecars in it. */
export interface InjectedText {
  readonly text: string;
  /** One line each, naming the object. */
  readonly warnings: readonly string[];
}

/**
 * Puts sidecars into every workload of a text of YAML documents, as the webhook does it to the pods that they make: the same function decides
 * and injects. Documents without a workload, and workloads that get none, stay letter by letter.
 * @param namespace of objects that name none.
 * @returns all problems, each with the object's name.
 */
export function injectDocuments(
  text: string,
  config: InjectionConfig,
  { file, namespace }: { readonly file: string; readonly namespace: string },
): Result<InjectedText, readonly string[]> {
  const problems: string[] = [];
  const warnings: string[] = [];
  const parts = splitDocuments(text).map(({ separator, body, line }) => {
    const read = valueFromText(body, file);
    if (!read.ok) {
      for (const each of read.error) problems.push(`${file}:${line + each.origin.line}: ${diagnosticText(each)}`);
      return separator + body;
    }
    const { value } = read.value;
    if (!isObject(value)) return separator + body;
    const injected = injectObject(value, { config, namespace, problems, warnings });
    return injected === value ? separator + body : separator + stringify(injected, { lineWidth: 0 });
  });
  return problems.length > 0 ? err(problems) : ok({ text: parts.join(""), warnings });
}

interface Work {
  readonly config: InjectionConfig;
  readonly namespace: string;
  readonly problems: string[];
  readonly warnings: string[];
}

/** The same object when there is nothing to inject. */
function injectObject(object: JsonObject, work: Work): JsonObject {
  const kind = textOf(object.kind) ?? "";
  if (kind === "List" && Array.isArray(object.items)) {
    const items = object.items.map((item: unknown) => (isObject(item) ? injectObject(item, work) : item));
    return items.every((item, index) => item === (object.items as unknown[])[index]) ? object : { ...object, items };
  }
  const path = Object.hasOwn(POD_PATHS, kind) ? POD_PATHS[kind] : undefined;
  if (path === undefined) return object;
  const metadata = objectOf(object.metadata);
  const namespace = textOf(metadata.namespace) ?? work.namespace;
  const pod = objectOf(path.reduce<unknown>((value, name) => objectOf(value)[name], object));
  if (!isObject(pod.spec)) return object;
  const name = `${kind} ${namespace}/${textOf(metadata.name) ?? textOf(metadata.generateName) ?? ""}`;
  const injection = injectPod(pod, { namespace, owner: workloadOf(kind, object, namespace) }, work.config);
  if (!injection.ok) {
    work.problems.push(...injection.error.map((problem) => `${name}: ${problem}`));
    return object;
  }
  if (!injection.value.injected) return object;
  work.warnings.push(...injection.value.warnings.map((warning) => `${name}: ${warning}`));
  const injected = injection.value.pod;
  return sameJson(injected, pod) ? object : put(object, path, injected);
}

/** The owner that a pod of this workload would name. */
function workloadOf(kind: string, object: JsonObject, namespace: string): PodOwner {
  const { name, generateName, ownerReferences } = objectOf(object.metadata);
  if (kind === "Pod") return ownerOf(objectOf(object.metadata), namespace);
  const itself = { apiVersion: object.apiVersion, kind, name, controller: true };
  // A ReplicaSet of a Deployment in a dump belongs to it.
  const owner = ownerReferences === undefined ? itself : undefined;
  return ownerOf({ name, generateName, ownerReferences: owner === undefined ? ownerReferences : [owner] }, namespace);
}

function put(value: unknown, path: readonly string[], inner: JsonObject): JsonObject {
  const [name, ...rest] = path;
  if (name === undefined) return inner;
  const object = objectOf(value);
  return { ...object, [name]: put(object[name], rest, inner) };
}

interface DocumentText {
  /** The `---` line before it, as written. */
  readonly separator: string;
  readonly body: string;
  /** Lines before the body. */
  readonly line: number;
}

/** `---` at the beginning of a line begins a document, wherever it stands. */
function splitDocuments(text: string): readonly DocumentText[] {
  const documents: DocumentText[] = [];
  let [separator, body, line, start] = ["", "", 0, 0];
  for (const each of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    line++;
    if (/^---(\s|$)/.test(each)) {
      documents.push({ separator, body, line: start });
      const isBare = /^---\s*(#.*)?$/.test(each.trimEnd());
      separator = isBare ? each : "---";
      body = isBare ? "" : each.slice(3);
      start = isBare ? line : line - 1;
    } else body += each;
  }
  documents.push({ separator, body, line: start });
  return documents.filter((document, index) => index > 0 || document.body !== "");
}
