import { createCompiler, nodeFromProto, typeUrls } from "@lateen/compiler";
import { formatOrigin } from "@lateen/mesh-model";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { TypedExtensionConfig } from "@lateen/proto/envoy/config/core/v3/extension";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { MessageWriter } from "@lateen/proto/messages";
import { withServiceAddresses } from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import { badFile } from "../errors.ts";
import { shortenPaths } from "../mesh/client.ts";
import type { SourceText } from "../mesh/documents.ts";
import { acceptedObjects, meshConfigOf } from "./objects.ts";

/** What pilot would serve, each resource in Envoy v3 proto JSON, ordered by name. */
export interface XdsPreview {
  readonly listeners: readonly unknown[];
  readonly routes: readonly unknown[];
  readonly clusters: readonly unknown[];
  readonly endpoints: readonly unknown[];
  readonly secrets: readonly unknown[];
  /** Configurations of extensions that filters ask for by name. */
  readonly extensions: readonly unknown[];
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
  const { objects, origins, invalid } = acceptedObjects(cli, input.sources);
  const compiler = createCompiler({ meshConfig: meshConfigOf(cli, input.mesh, objects), clusterId: input.clusterId });
  compiler.apply({ upserted: withServiceAddresses(objects), removed: [] });
  const node = readNode(input.node);
  const list = (typeUrl: string, type: JsonType) =>
    [...compiler.resources(node, typeUrl).values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ any }) => written(type, any, writer));
  const writer = new MessageWriter();
  for (const { message, origin, about } of compiler.warnings()) {
    const place = shortenPaths(cli, formatOrigin(origins.get(about) ?? origin));
    cli.err(`warning: ${place}: ${message}\n`);
  }
  return {
    resources: {
      listeners: list(typeUrls.listener, Listener),
      routes: list(typeUrls.route, RouteConfiguration),
      clusters: list(typeUrls.cluster, Cluster),
      endpoints: list(typeUrls.endpoint, ClusterLoadAssignment),
      secrets: list(typeUrls.secret, Secret),
      extensions: list(typeUrls.extension, TypedExtensionConfig),
    },
    invalid,
  };
}

function written(
  type: JsonType,
  any: { readonly typeUrl: string; readonly value: Buffer },
  writer: MessageWriter,
): unknown {
  try {
    return type.toJSON(type.decode(any.value) as never);
  } catch {
    // Something packed in it is of a type that only an EnvoyFilter knows.
    return writer.toJson(any.typeUrl, any.value);
  }
}

interface JsonType {
  decode(bytes: Uint8Array): unknown;
  toJSON(message: never): unknown;
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
