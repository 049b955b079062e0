import {
  decodeText,
  defaultMeshConfig,
  formatOrigin,
  keyOf,
  type MeshConfig,
  meshConfigFromConfigMap,
  meshConfigFromText,
  type Origin,
  type Resource,
} from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import { badFile } from "../errors.ts";
import { shortenPaths } from "../mesh/client.ts";
import type { SourceText } from "../mesh/documents.ts";

/** The valid objects of some texts, as galley takes them over. What is wrong with the others goes to stderr. */
export function acceptedObjects(cli: Cli, sources: readonly SourceText[]) {
  const objects = new Map<string, Resource>();
  const origins = new Map<string, Origin>();
  let invalid = false;
  for (const source of sources) {
    for (const document of decodeText(source)) {
      if (document.ok) {
        const key = keyOf(document.object);
        // As galley: of two objects of one name the first stays.
        if (objects.has(key)) continue;
        objects.set(key, document.object);
        origins.set(key, document.origin);
        continue;
      }
      invalid ||= !document.ignored;
      for (const { level, message, origin, path } of document.diagnostics) {
        const where = path === "" || message.includes(path) ? "" : `${path}: `;
        cli.err(`${level}: ${shortenPaths(cli, formatOrigin(origin))}: ${where}${message}\n`);
      }
    }
  }
  return { objects: [...objects.values()], origins, invalid };
}

/**
 * Mesh configuration: what is given, else the ConfigMap `istio` of the root namespace, else the defaults.
 * @throws LTN7505 when it cannot be read.
 */
export function meshConfigOf(cli: Cli, given: SourceText | undefined, objects: readonly Resource[]): MeshConfig {
  const map = objects.find(
    (object) =>
      object.kind === "ConfigMap" && object.metadata.name === "istio" && object.metadata.namespace === "istio-system",
  );
  const config =
    given !== undefined
      ? givenMeshConfig(given)
      : map?.kind === "ConfigMap"
        ? meshConfigFromConfigMap(map)
        : { ok: true as const, value: defaultMeshConfig() };
  if (config.ok) return config.value;
  const [first] = config.error;
  throw badFile(
    given === undefined ? "ConfigMap istio-system/istio" : shortenPaths(cli, given.file),
    first === undefined ? "not a mesh configuration" : `line ${first.origin.line}: ${first.message}`,
  );
}

function givenMeshConfig(given: SourceText) {
  for (const document of decodeText(given, { defaultNamespace: "istio-system" })) {
    if (document.ok && document.object.kind === "ConfigMap") return meshConfigFromConfigMap(document.object);
  }
  return meshConfigFromText(given.text, given.file);
}
