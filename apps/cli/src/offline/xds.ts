import { createCompiler, nodeFromProto, typeUrls } from "@lateen/compiler";
import {
  assignClusterIp,
  decodeText,
  defaultMeshConfig,
  formatOrigin,
  keyOf,
  type MeshConfig,
  meshConfigFromConfigMap,
  meshConfigFromText,
  type Resource,
} from "@lateen/mesh-model";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import type { Cli } from "../cli.ts";
import { badFile } from "../errors.ts";
import { shortenPaths } from "../mesh/client.ts";
import type { SourceText } from "../mesh/documents.ts";

/** What pilot would serve, each resource in Envoy v3 proto JSON, ordered by name. */
export interface XdsPreview {
  readonly listeners: readonly unknown[];
  readonly routes: readonly unknown[];
  readonly clusters: readonly unknown[];
  readonly endpoints: readonly unknown[];
  readonly secrets: readonly unknown[];
}

export interface PreviewInput {
  readonly sources: readonly SourceText[];
  /** Envoy v3 Node as JSON. */
  readonly node: string;
  readonly mesh: SourceText | undefined;
  readonly clusterId: string;
}

/**
 * Compiles files as a control plane that had just read them would. Invalid objects are left out, as galley does, and told on stderr.
 * @throws LTN7505 for a node or mesh configuration that cannot be read.
 */
export function previewXds(
  cli: Cli,
  input: PreviewInput,
): { readonly resources: XdsPreview; readonly invalid: boolean } {
  const { objects, invalid } = acceptedObjects(cli, input.sources);
  const compiler = createCompiler({ meshConfig: meshConfigOf(cli, input.mesh, objects), clusterId: input.clusterId });
  compiler.apply({ upserted: withAddresses(objects), removed: [] });
  const node = readNode(input.node);
  const list = (typeUrl: string, type: JsonType) =>
    [...compiler.resources(node, typeUrl).values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ any }) => type.toJSON(type.decode(any.value) as never));
  for (const { message, origin } of compiler.warnings()) {
    cli.err(`warning: ${shortenPaths(cli, formatOrigin(origin))}: ${message}\n`);
  }
  return {
    resources: {
      listeners: list(typeUrls.listener, Listener),
      routes: list(typeUrls.route, RouteConfiguration),
      clusters: list(typeUrls.cluster, Cluster),
      endpoints: list(typeUrls.endpoint, ClusterLoadAssignment),
      secrets: list(typeUrls.secret, Secret),
    },
    invalid,
  };
}

interface JsonType {
  decode(bytes: Uint8Array): unknown;
  toJSON(message: never): unknown;
}

function acceptedObjects(cli: Cli, sources: readonly SourceText[]) {
  const objects = new Map<string, Resource>();
  let invalid = false;
  for (const source of sources) {
    for (const document of decodeText(source)) {
      if (document.ok) {
        const key = keyOf(document.object);
        // As galley: of two objects of one name the first stays.
        if (!objects.has(key)) objects.set(key, document.object);
        continue;
      }
      invalid ||= !document.ignored;
      for (const { level, message, origin, path } of document.diagnostics) {
        const where = path === "" || message.includes(path) ? "" : `${path}: `;
        cli.err(`${level}: ${shortenPaths(cli, formatOrigin(origin))}: ${where}${message}\n`);
      }
    }
  }
  return { objects: [...objects.values()], invalid };
}

/** Services get cluster addresses as an API server would give them. */
function withAddresses(objects: readonly Resource[]): readonly Resource[] {
  const taken = new Set(objects.flatMap((object) => (object.kind === "Service" ? (object.spec.clusterIP ?? []) : [])));
  return objects.map((object) => {
    if (object.kind !== "Service" || object.spec.type === "ExternalName" || object.spec.clusterIP) return object;
    const clusterIP = assignClusterIp(keyOf(object), taken);
    taken.add(clusterIP);
    return { ...object, spec: { ...object.spec, clusterIP, clusterIPs: [clusterIP] } };
  });
}

function meshConfigOf(cli: Cli, given: SourceText | undefined, objects: readonly Resource[]): MeshConfig {
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

function readNode(text: string) {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw badFile("--node", `not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  // A whole bootstrap is accepted as well: the node is a part of it.
  const node = typeof json === "object" && json !== null && "node" in json ? json.node : json;
  const parsed = nodeFromProto(Node.fromJSON(node));
  if (!parsed.ok) throw badFile("--node", parsed.error);
  return parsed.value;
}
