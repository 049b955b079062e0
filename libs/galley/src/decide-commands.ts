import {
  type DecodedDocument,
  type DecodedObject,
  decodeText,
  keyOf,
  parseResourceKey,
  type ResourceKey,
} from "@lateen/mesh-model";
import type { Draft } from "./draft.ts";
import { codes, problem } from "./errors.ts";
import { claimOf, type FileView } from "./file-view.ts";
import { documentFingerprint } from "./fingerprint.ts";
import { type ApplyAction, type ApplyResult, describeDiagnostic, type RemoveResult } from "./results.ts";

export interface CommandOptions {
  /** Objects of watched files are moved to the command instead of being refused. */
  readonly takeOver?: boolean;
  /** Findings across objects are left out of the results: for writers that nobody reads the results of. Default false. */
  readonly withoutAnalysis?: boolean;
}

/** A text given with a command. */
export interface CommandDocument {
  readonly file: string;
  readonly text: string;
}

/** Puts the documents in force one after the other; each is decided on alone. */
export function decideApply(
  draft: Draft,
  views: ReadonlyMap<string, FileView>,
  documents: readonly CommandDocument[],
  options: CommandOptions,
): ApplyResult[] {
  const results: ApplyResult[] = [];
  for (const { file, text } of documents) {
    for (const decoded of decodeText({ file, text })) {
      results.push(decoded.ok ? applyOne(draft, views, decoded, options) : refused(decoded));
    }
  }
  return results;
}

function applyOne(
  draft: Draft,
  views: ReadonlyMap<string, FileView>,
  decoded: DecodedObject,
  options: CommandOptions,
): ApplyResult {
  const { object, origin } = decoded;
  const key = keyOf(object);
  const owners = claimingFiles(draft, views, key);
  if (owners.length > 0 && !options.takeOver) return resultOf(decoded, "rejected", [ownedMessage(key, owners)]);
  const outcome = draft.accept(object, origin, undefined);
  if (outcome.action === "rejected") {
    return resultOf(decoded, "rejected", outcome.diagnostics.map(describeDiagnostic));
  }
  override(draft, views, key, owners);
  return resultOf(decoded, outcome.action, []);
}

/** Removes objects by key. */
export function decideRemove(
  draft: Draft,
  views: ReadonlyMap<string, FileView>,
  keys: readonly ResourceKey[],
  options: CommandOptions,
): RemoveResult[] {
  return keys.map((key) => {
    const { kind, namespace, name } = parseResourceKey(key) ?? { kind: "", namespace: "", name: key };
    const result = (action: RemoveResult["action"], errors: readonly string[] = []): RemoveResult => ({
      kind,
      namespace,
      name,
      action,
      errors,
    });
    const owners = claimingFiles(draft, views, key);
    if (owners.length > 0 && !options.takeOver) return result("rejected", [ownedMessage(key, owners)]);
    if (!draft.get(key) && owners.length === 0) return result("notFound");
    draft.remove(key);
    override(draft, views, key, owners);
    return result("deleted");
  });
}

/** The watched files that speak of an object with effect. */
function claimingFiles(draft: Draft, views: ReadonlyMap<string, FileView>, key: ResourceKey): string[] {
  const overridden = new Set(draft.overrides.filter((entry) => entry.key === key).map((entry) => entry.file));
  const files: string[] = [];
  for (const view of views.values()) {
    if (!overridden.has(view.file) && view.documents.some((document) => claimOf(document) === key))
      files.push(view.file);
  }
  const owner = draft.get(key)?.ownerFile;
  // The owner may be unreadable at the moment, and still owns.
  if (owner !== undefined && views.has(owner) && !files.includes(owner)) files.push(owner);
  return files;
}

function override(
  draft: Draft,
  views: ReadonlyMap<string, FileView>,
  key: ResourceKey,
  files: readonly string[],
): void {
  for (const file of files) {
    const decoded = views.get(file)?.documents.find((document) => claimOf(document) === key);
    if (decoded) draft.overrides = [...draft.overrides, { key, file, fingerprint: documentFingerprint(decoded) }];
  }
}

function ownedMessage(key: ResourceKey, files: readonly string[]): string {
  return `${key} belongs to the watched file ${files.join(" and ")}: edit that file, or use --take-over (${codes.ownedByFile})`;
}

function refused(decoded: Exclude<DecodedDocument, { readonly ok: true }>): ApplyResult {
  const { kind, namespace, name, origin, diagnostics, ignored } = decoded;
  const errors = diagnostics.filter((diagnostic) => diagnostic.level === "error").map(describeDiagnostic);
  const warnings = diagnostics.filter((diagnostic) => diagnostic.level === "warning").map(describeDiagnostic);
  const place = { kind, namespace, name, file: origin.file, line: origin.line };
  if (ignored) return { ...place, action: "ignored", errors: [], warnings };
  const unexplained = describeDiagnostic(problem(codes.unreadableFile, origin, "not accepted"));
  return { ...place, action: "rejected", errors: errors.length > 0 ? errors : [unexplained], warnings };
}

function resultOf(decoded: DecodedObject, action: ApplyAction, errors: readonly string[]): ApplyResult {
  const { object, origin, warnings } = decoded;
  const { name, namespace } = object.metadata;
  return {
    kind: object.kind,
    namespace,
    name,
    action,
    file: origin.file,
    line: origin.line,
    errors,
    warnings: warnings.map(describeDiagnostic),
  };
}
