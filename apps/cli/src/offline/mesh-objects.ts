import { decodeText, keyOf, type Resource } from "@lateen/mesh-model";
import { asRunning, SimulatedMesh } from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import { notFound } from "../errors.ts";
import type { ListedObject } from "../get/object-status.ts";
import { MeshClient } from "../mesh/client.ts";
import { readSources, type SourceText } from "../mesh/documents.ts";
import { acceptedObjects, meshConfigOf } from "./objects.ts";

/** Where the objects to be looked at come from: files, or else the running mesh. */
export interface WorldOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly meshConfig?: string;
  readonly mesh: string;
}

/** File and line that an object begins at. */
export interface PlaceOfObject {
  readonly file: string;
  readonly line: number;
}

/** The objects of a mesh and how they would play together. */
export interface World {
  readonly objects: readonly Resource[];
  /** Rules of traffic, with those that are made of the Gateway API's objects and of Ingress. */
  readonly rules: readonly Resource[];
  /** The mesh's root namespace. */
  readonly root: string;
  readonly simulated: SimulatedMesh;
  /** Where each object is written, by its key. */
  readonly origins: ReadonlyMap<string, PlaceOfObject>;
  /** Some files have objects that are not valid; they were left out. */
  readonly invalid: boolean;
}

/**
 * Reads files, or asks the running mesh when none are named.
 * @throws LTN7505 for what cannot be read, LTN7006 when neither files are named nor a mesh runs.
 */
export async function openWorld(cli: Cli, options: WorldOptions): Promise<World> {
  const given = options.meshConfig === undefined ? undefined : (await readSources(cli, [options.meshConfig]))[0];
  const live = options.filename === undefined;
  const { objects, invalid, addresses, origins } = live
    ? await liveObjects(new MeshClient(cli, options.mesh))
    : { ...acceptedObjects(cli, await readSources(cli, options.filename, options)), addresses: undefined };
  return { invalid, origins, ...worldOf(cli, objects, given, addresses) };
}

function worldOf(
  cli: Cli,
  objects: readonly Resource[],
  given: SourceText | undefined,
  addresses: ReadonlyMap<string, string> | undefined,
) {
  const running = asRunning(objects, addresses === undefined ? {} : { addresses });
  const meshConfig = meshConfigOf(cli, given, objects);
  const simulated = new SimulatedMesh({ objects: running, meshConfig, clusterId: "Kubernetes" });
  return { objects: running, rules: [...running, ...simulated.converted()], root: meshConfig.rootNamespace, simulated };
}

async function liveObjects(client: MeshClient) {
  const [{ objects: listed }, status] = await Promise.all([
    client.get<{ readonly objects: readonly ListedObject[] }>("/config/objects"),
    client.status(),
  ]);
  const origins = new Map<string, PlaceOfObject>();
  const objects = listed.flatMap(({ object, file, line }) =>
    decodeText({ file, text: JSON.stringify(object) }).flatMap((document) => {
      if (!document.ok) return [];
      origins.set(keyOf(document.object), { file, line });
      return [document.object];
    }),
  );
  const addresses = new Map([
    ...status.workloads.map((one) => [`${one.namespace}/${one.workload}`, one.address] as const),
    ...status.gateways.map((one) => [`${one.namespace}/${one.name}`, one.address] as const),
  ]);
  return { objects, invalid: false, addresses, origins };
}

/** A workload of the mesh by its name. @throws LTN7504 when there is none. */
export function workloadNamed({ simulated }: World, name: string) {
  const found = simulated.find(name);
  if (found !== undefined) return found;
  const names = simulated.participants.map(({ workload }) => `${workload.name}.${workload.namespace}`).sort();
  throw notFound(`no workload "${name}"`, names.length === 0 ? "there are none" : `there are ${names.join(", ")}`);
}
