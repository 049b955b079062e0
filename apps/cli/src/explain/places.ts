import { readFile } from "node:fs/promises";
import { decodeText, keyOf, kindNameOf, type Path } from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import { shortPath } from "../mesh/client.ts";
import type { PlaceOfObject } from "../offline/mesh-objects.ts";

/** `Kind namespace/name place`: an object, and what of it. */
const OBJECT = /^(\S+) ([^/\s]+)\/(\S+)(?: (.+))?$/;

/**
 * Where objects are written, for those who read the files: of a rule its own line, when the file still has it.
 * @param objects `VirtualService default/reviews http[1]`, `AuthorizationPolicy default/viewer rule[0]`, `DestinationRule default/x`
 * @returns `file:line` by object; those of unknown place are left out.
 */
export async function placesOf(
  cli: Cli,
  objects: Iterable<string>,
  origins: ReadonlyMap<string, PlaceOfObject>,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const object of new Set(objects)) {
    const [, kind = "", namespace = "", name = "", part = ""] = OBJECT.exec(object) ?? [];
    const key = [kind, `Kubernetes${kind}`]
      .map((each) => `${each}/${namespace}/${name}`)
      .find((each) => origins.has(each));
    const origin = key === undefined ? undefined : origins.get(key);
    if (key === undefined || origin === undefined) continue;
    const line = (await lineOf(origin.file, key, pathOf(part))) ?? origin.line;
    found.set(object, `${shortPath(cli, origin.file)}:${line}`);
  }
  return found;
}

/** `http[1]` and `rule[0]` as paths into an object. */
function pathOf(part: string): Path {
  const steps = [...part.matchAll(/([A-Za-z]+)(?:\[(\d+)\])?/g)].flatMap(([, field = "", index]) => [
    field === "rule" ? "rules" : field,
    ...(index === undefined ? [] : [Number(index)]),
  ]);
  return steps.length === 0 ? [] : ["spec", ...steps];
}

/** Undefined: the file is not there any more, or has another object there. */
async function lineOf(file: string, key: string, path: Path): Promise<number | undefined> {
  if (path.length === 0) return undefined;
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch {
    return undefined;
  }
  for (const document of decodeText({ file, text }, { positions: true })) {
    if (document.ok && keyOf(document.object) === key) return document.locate?.(path, "value").line;
  }
  return undefined;
}

/** Places of all objects of a mesh as its control plane lists them. */
export function originsOf(
  listed: readonly {
    readonly object: {
      readonly apiVersion: string;
      readonly kind: string;
      readonly metadata: { readonly name: string; readonly namespace?: string };
    };
    readonly file: string;
    readonly line: number;
  }[],
): ReadonlyMap<string, PlaceOfObject> {
  return new Map(
    listed.flatMap(({ object: { apiVersion, kind, metadata }, file, line }) => {
      const slash = apiVersion.indexOf("/");
      const known = kindNameOf(slash < 0 ? "" : apiVersion.slice(0, slash), kind);
      return known === undefined
        ? []
        : [[`${known}/${metadata.namespace ?? ""}/${metadata.name}`, { file, line }] as const];
    }),
  );
}
