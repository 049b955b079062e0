import type { KindName } from "@lateen/mesh-model";
import { kindNameOf, kinds } from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import { notFound } from "../errors.ts";
import { type MeshClient, shortPath } from "../mesh/client.ts";
import { kindByName, objectLabel } from "../mesh/kinds.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import { age, table } from "../output/table.ts";
import { columnsOf } from "./columns.ts";
import { type ListedObject, type PlainObject, type RejectedEntry, withStatus } from "./object-status.ts";

export interface GetRequest {
  readonly kinds: string;
  readonly name: string | undefined;
  readonly namespace: string | undefined;
  readonly allNamespaces: boolean;
  readonly format: OutputFormat;
}

/**
 * Prints objects in force; one object, or a List.
 * @throws LTN7501 for an unknown kind, LTN7504 when the named object is not there.
 */
export async function getObjects(cli: Cli, client: MeshClient, request: GetRequest): Promise<void> {
  const { wanted, name } = parseWanted(request);
  const namespace = request.allNamespaces
    ? undefined
    : (request.namespace ?? (name === undefined ? undefined : "default"));
  const [{ objects, revision }, { rejected }, status, statuses] = await Promise.all([
    client.get<{ readonly revision: number; readonly objects: readonly ListedObject[] }>("/config/objects"),
    client.get<{ readonly rejected: readonly RejectedEntry[] }>("/config/rejected"),
    client.status(),
    wanted.some((kind) => CONVERTED.has(kind)) ? statusesOf(client) : NO_STATUSES,
  ]);
  const laggards = [...status.workloads, ...status.gateways].filter(({ synced }) => !synced).map(({ pod }) => pod);
  const found = objects
    .filter(({ object }) => wanted.some((kind) => kind === kindOf(object)))
    .filter(({ object }) => name === undefined || object.metadata.name === name)
    .filter(({ object }) => namespace === undefined || (object.metadata.namespace ?? namespace) === namespace)
    .map((entry) => withStatus(entry, { rejected, laggards, revision, own: statuses[keyOf(entry.object)] }));
  if (name !== undefined && found.length === 0) throw missing(wanted, name, namespace);
  const value =
    name !== undefined && found.length === 1
      ? found[0]?.object
      : {
          apiVersion: "v1",
          kind: "List",
          metadata: { resourceVersion: String(revision) },
          items: found.map(({ object }) => object),
        };
  await printResult(cli, request.format, value, () => {
    if (found.length === 0) return "";
    return wanted
      .map((kind) => found.filter(({ object }) => kindOf(object) === kind))
      .filter((list) => list.length > 0)
      .map((list) => kindTable(cli, list, { withKind: wanted.length > 1 }))
      .join("\n");
  });
  if (found.length === 0) cli.err("no objects found\n");
}

/** Kinds whose status says how the control plane understood them. */
const CONVERTED: ReadonlySet<KindName> = new Set<KindName>([
  ...(["GatewayClass", "KubernetesGateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"] as const),
  ...(["BackendTLSPolicy", "Ingress"] as const),
]);

type Statuses = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
const NO_STATUSES: Statuses = {};

/** By `Kind/namespace/name`; empty while the control plane cannot say. */
async function statusesOf(client: MeshClient): Promise<Statuses> {
  return client.get<{ readonly statuses: Statuses }>("/debug/statusz").then(
    ({ statuses }) => statuses,
    () => NO_STATUSES,
  );
}

/** The kind of an object as written: two groups have a Gateway. */
function kindOf(object: PlainObject): KindName | undefined {
  const slash = object.apiVersion.indexOf("/");
  return kindNameOf(slash < 0 ? "" : object.apiVersion.slice(0, slash), object.kind);
}

function keyOf(object: PlainObject): string {
  return `${kindOf(object)}/${object.metadata.namespace ?? ""}/${object.metadata.name}`;
}

function parseWanted(request: GetRequest): { readonly wanted: readonly KindName[]; readonly name: string | undefined } {
  const slash = request.kinds.indexOf("/");
  if (slash > 0 && request.name === undefined) {
    return { wanted: [kindByName(request.kinds.slice(0, slash)).kind], name: request.kinds.slice(slash + 1) };
  }
  const wanted =
    request.kinds === "all"
      ? (Object.keys(kinds) as KindName[])
      : [...new Set(request.kinds.split(",").map((text) => kindByName(text.trim()).kind))];
  return { wanted, name: request.name };
}

function kindTable(cli: Cli, list: readonly ListedObject[], options: { readonly withKind: boolean }): string {
  const kind = (list[0] && kindOf(list[0].object)) ?? "Service";
  const columns = columnsOf(kind);
  const now = Date.now();
  const headers = ["NAMESPACE", "NAME", ...columns.map(({ header }) => header), "AGE", "SOURCE"];
  const rows = list.map(({ object, file, line }) => [
    object.metadata.namespace ?? "",
    options.withKind ? objectLabel(kind, object.metadata.name) : object.metadata.name,
    ...columns.map(({ cell }) => cell(object.spec ?? {}, object)),
    object.metadata.creationTimestamp === undefined ? "" : age(now - Date.parse(object.metadata.creationTimestamp)),
    `${shortPath(cli, file)}:${line}`,
  ]);
  return table(headers, rows);
}

function missing(wanted: readonly KindName[], name: string, namespace: string | undefined): Error {
  const where = namespace === undefined ? "" : ` in namespace ${namespace}`;
  return notFound(
    `${wanted.map((kind) => objectLabel(kind, name)).join(", ")} not found${where}`,
    "list them with `lateen get all -A`",
  );
}
