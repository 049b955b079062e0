import {
  type DecodedDocument,
  type Diagnostic,
  formatOrigin,
  type Origin,
  parseResourceKey,
  type ResourceKey,
} from "@lateen/mesh-model";
import type { FileOverride, RejectedObject } from "@lateen/ports";
import type { Draft } from "./draft.ts";
import { codes, problem } from "./errors.ts";
import { claimOf, type FileView } from "./file-view.ts";
import { documentFingerprint } from "./fingerprint.ts";

/** A document of a watched file that speaks of a known object. */
interface Claim {
  readonly file: string;
  readonly decoded: DecodedDocument;
}

/**
 * Brings a draft to what the watched files say, object by object, and returns the complete list of rejections. Always decides on
 * everything, so the result depends only on the files, on what was in force, and on nothing that happened in between.
 *
 * - The file that owns an object keeps it; without an owner the first file by name gets it; other claims are rejected.
 * - A bad document leaves the version in force as it is.
 * - An object that no file speaks of any more is removed, unless its file hides documents that could not be read.
 */
export function decideFiles(draft: Draft, views: ReadonlyMap<string, FileView>): RejectedObject[] {
  const rejections = new Rejections(draft);
  const files = [...views.values()].sort((a, b) => (a.file < b.file ? -1 : 1));
  draft.overrides = draft.overrides.filter((override) => stillSaysSo(override, views));
  const winners = chooseWinners(draft, files, rejections);
  removeUnclaimed(draft, views, winners, rejections);
  const ordered = [...winners].sort(([a, x], [b, y]) => addressOrder(x) - addressOrder(y) || (a < b ? -1 : 1));
  for (const [key, { file, decoded }] of ordered) {
    if (!decoded.ok) {
      rejections.add(key, decoded, file, decoded.diagnostics);
      continue;
    }
    const outcome = draft.accept(decoded.object, decoded.origin, file);
    if (outcome.action === "rejected") rejections.add(key, decoded, file, outcome.diagnostics);
  }
  for (const view of files) rejections.addUnknown(view);
  return rejections.list();
}

function chooseWinners(draft: Draft, files: readonly FileView[], rejections: Rejections): Map<ResourceKey, Claim> {
  const winners = new Map<ResourceKey, Claim>();
  const overridden = new Set(draft.overrides.map((override) => `${override.file}\n${override.key}`));
  for (const { file, documents } of files) {
    for (const decoded of documents) {
      const key = claimOf(decoded);
      if (key === undefined) continue;
      const claim = { file, decoded };
      if (overridden.has(`${file}\n${key}`)) {
        rejections.add(key, decoded, file, [overriddenBy(key, decoded.origin, draft)]);
        continue;
      }
      const first = winners.get(key);
      const owner = draft.get(key)?.ownerFile;
      if (first === undefined || (first.file !== owner && file === owner)) {
        if (first) rejections.add(key, first.decoded, first.file, [duplicate(key, first, claim)]);
        winners.set(key, claim);
      } else {
        rejections.add(key, decoded, file, [duplicate(key, claim, first)]);
      }
    }
  }
  return winners;
}

function removeUnclaimed(
  draft: Draft,
  views: ReadonlyMap<string, FileView>,
  winners: ReadonlyMap<ResourceKey, Claim>,
  rejections: Rejections,
): void {
  for (const key of [...draft.keys()]) {
    const ownerFile = draft.get(key)?.ownerFile;
    if (ownerFile === undefined || winners.has(key)) continue;
    if (views.get(ownerFile)?.hidesObjects) rejections.kept(ownerFile, key);
    else draft.remove(key);
  }
}

/** Services that ask for an address come before those that take any. */
function addressOrder({ decoded }: Claim): number {
  if (!decoded.ok || decoded.object.kind !== "Service") return 0;
  return decoded.object.spec.clusterIP || decoded.object.spec.clusterIPs?.length ? 1 : 2;
}

/** Whether the overridden document still says what it said when a command overrode it. A file that cannot be read might. */
function stillSaysSo(override: FileOverride, views: ReadonlyMap<string, FileView>): boolean {
  const view = views.get(override.file);
  if (!view) return false;
  if (view.unreadable !== undefined) return true;
  const decoded = view.documents.find((document) => claimOf(document) === override.key);
  return decoded === undefined ? view.hidesObjects : documentFingerprint(decoded) === override.fingerprint;
}

function duplicate(key: ResourceKey, loser: Claim, winner: Claim): Diagnostic {
  return problem(
    codes.duplicateObject,
    loser.decoded.origin,
    `${key} is defined at ${formatOrigin(winner.decoded.origin)} and again at ${formatOrigin(loser.decoded.origin)}; the first is in force`,
    "remove one of the two",
  );
}

function overriddenBy(key: ResourceKey, origin: Origin, draft: Draft): Diagnostic {
  const done = draft.get(key) ? "replaced" : "deleted";
  return problem(
    codes.overridden,
    origin,
    `${key} was ${done} by a command with --take-over, which this document does not change`,
    "edit the document to put it in force again, or remove it",
  );
}

/** Collects rejections; one per document. */
class Rejections {
  readonly #draft: Draft;
  readonly #list: { readonly key: ResourceKey | undefined; readonly rejected: RejectedObject }[] = [];
  readonly #kept = new Map<string, ResourceKey[]>();

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  add(key: ResourceKey, decoded: DecodedDocument, file: string, diagnostics: readonly Diagnostic[]): void {
    const name = parseResourceKey(key) ?? { kind: "", namespace: "", name: "" };
    const rejected = { key, ...name, file, diagnostics: located(diagnostics, decoded.origin), lastGoodServes: false };
    this.#list.push({ key, rejected });
  }

  /** An object that stays because its file cannot be read in full. */
  kept(file: string, key: ResourceKey): void {
    const keys = this.#kept.get(file);
    if (keys) keys.push(key);
    else this.#kept.set(file, [key]);
  }

  /** Documents that do not say which object they are, and files that could not be read. */
  addUnknown(view: FileView): void {
    const keptKeys = this.#kept.get(view.file) ?? [];
    const origin = { file: view.file, line: 1, column: 1 };
    const kept = keptKeys.length > 0 ? [keptDiagnostic(keptKeys, origin)] : [];
    const base = { key: undefined, file: view.file, lastGoodServes: keptKeys.length > 0 };
    if (view.unreadable !== undefined) {
      const diagnostics = [
        problem(codes.unreadableFile, origin, `the file cannot be read: ${view.unreadable}`),
        ...kept,
      ];
      this.#list.push({ key: undefined, rejected: { ...base, kind: "", namespace: "", name: "", diagnostics } });
    }
    for (const decoded of view.documents) {
      if (decoded.ok || decoded.ignored || decoded.key !== undefined) continue;
      const { kind, namespace, name } = decoded;
      const diagnostics = [...decoded.diagnostics, ...kept];
      this.#list.push({ key: undefined, rejected: { ...base, kind, namespace, name, diagnostics } });
    }
  }

  /** By file and line, so that equal causes give equal lists. */
  list(): RejectedObject[] {
    const place = (rejected: RejectedObject) => rejected.diagnostics[0]?.origin.line ?? 0;
    return this.#list
      .map(({ key, rejected }) =>
        key === undefined ? rejected : { ...rejected, lastGoodServes: this.#draft.get(key) !== undefined },
      )
      .sort((a, b) => (a.file === b.file ? place(a) - place(b) : a.file < b.file ? -1 : 1));
  }
}

function keptDiagnostic(keys: readonly ResourceKey[], origin: Origin): Diagnostic {
  const shown = keys.slice(0, 10).join(", ") + (keys.length > 10 ? ` and ${keys.length - 10} more` : "");
  return {
    level: "warning",
    code: codes.keptLastGood,
    message: `objects of this file that cannot be found any more stay in force until it can be read: ${shown}`,
    path: "",
    origin,
  };
}

function located(diagnostics: readonly Diagnostic[], origin: Origin): readonly Diagnostic[] {
  return diagnostics.length > 0 ? diagnostics : [problem(codes.unreadableFile, origin, "not accepted")];
}
