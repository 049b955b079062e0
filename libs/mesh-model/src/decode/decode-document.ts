import { codes } from "../errors.ts";
import { resourceKey } from "../key.ts";
import { type KindName, kindDefinition, kinds, type Resource } from "../kinds/index.ts";
import { objectMetaSchema } from "../metadata.ts";
import type { Diagnostic, Origin } from "../origin.ts";
import type { ObjectNode } from "../schema/index.ts";
import { Check } from "../validation/check.ts";
import { checkMetadata } from "../validation/metadata.ts";
import { decodeObjectValue, isRecord } from "./decode-value.ts";
import { toDiagnostic } from "./diagnostic.ts";
import { lookUpKind } from "./kind-of.ts";
import { limits } from "./limits.ts";
import type { DecodedDocument, DecodeOptions, Locate, UndecodedDocument } from "./types.ts";

/** A parsed document with the means to say where its parts stand. */
export interface DocumentValue {
  readonly value: unknown;
  readonly locate: Locate;
}

/** Decodes and validates one document. Never throws. */
export function decodeDocument(document: DocumentValue, options: DecodeOptions): DecodedDocument {
  const { value, locate } = document;
  const check = new Check();
  if (!isRecord(value)) {
    check.error("an object must be a map with apiVersion, kind and metadata", { code: codes.wrongType });
    return undecoded(document, check, undefined);
  }
  const apiVersion = readHeader(value, "apiVersion", check);
  const kind = readHeader(value, "kind", check);
  if (apiVersion === undefined || kind === undefined) return undecoded(document, check, undefined);
  const lookup = lookUpKind(apiVersion, kind);
  switch (lookup.outcome) {
    case "ignored":
      check.at("kind").warn(lookup.reason, { code: codes.ignoredKind });
      return { ...undecoded(document, check, undefined), ignored: true };
    case "unsupported":
      check.at("kind").error(lookup.reason, { code: codes.unsupported });
      return undecoded(document, check, undefined);
    case "unknown":
      check.at(lookup.field).error(lookup.reason, { code: codes.unknownKind, hint: lookup.hint });
      return undecoded(document, check, undefined);
    case "known":
  }
  const object = decodeKnown(lookup.kind, lookup.apiVersion, value, check, options);
  if (object === undefined) return undecoded(document, check, lookup.kind, options);
  return {
    ok: true,
    object,
    origin: locate([], "value"),
    warnings: check.findings.slice(0, limits.findings).map((finding) => toDiagnostic(finding, locate)),
    ...(options.positions ? { locate } : {}),
  };
}

/** An undecoded document for a fault that lies before decoding. */
export function refusedDocument(origin: Origin, diagnostics: readonly Diagnostic[]): UndecodedDocument {
  return { ok: false, ignored: false, key: undefined, kind: "", namespace: "", name: "", origin, diagnostics };
}

/** What a document that was refused says about itself, so that reports can name it. */
export function describeRefused(document: DocumentValue, diagnostics: readonly Diagnostic[]): UndecodedDocument {
  const { value } = document;
  const kind = isRecord(value) && typeof value.kind === "string" ? value.kind : "";
  const known = Object.hasOwn(kinds, kind) ? (kind as KindName) : undefined;
  return { ...identityOf(document, known, {}), diagnostics };
}

function decodeKnown(
  kind: KindName,
  apiVersion: string,
  value: Readonly<Record<string, unknown>>,
  check: Check,
  options: DecodeOptions,
): Resource | undefined {
  const definition = kindDefinition(kind);
  const mesh = STRICT_GROUPS.some((group) => definition.group.endsWith(group));
  const metadata = decodeObjectValue(
    objectMetaSchema as ObjectNode,
    value.metadata ?? {},
    check.at("metadata"),
    "open",
  );
  const fields = Object.fromEntries(
    Object.entries(value).filter(([name]) => !ENVELOPE.has(name) && (name !== "status" || hasStatus(definition.body))),
  );
  const body = decodeObjectValue(definition.body, fields, check, mesh ? "strict" : "open");
  const namespaced = definition.scope === "Namespaced";
  const meta = metadata && checkMetadata(metadata, kind, namespaced, options.defaultNamespace ?? "default", check);
  if (hasErrors(check) || body === undefined || meta === undefined) return undefined;
  definition.validate?.(body, { check, metadata: meta });
  if (hasErrors(check)) return undefined;
  const normalized = definition.normalize?.(body) ?? body;
  return { apiVersion, kind, metadata: meta, ...(normalized as object) } as Resource;
}

/** Groups whose fields are all about traffic: one that is not known would be a rule that is not enforced. */
const STRICT_GROUPS = ["istio.io", "lateen.dev", "gateway.networking.k8s.io"];
const ENVELOPE: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata"]);

/** `status` is written by controllers, never by users; where the mesh does not read it, a copied object may carry it. */
function hasStatus(body: ObjectNode): boolean {
  return Object.hasOwn(body.fields, "status");
}

function readHeader(value: Readonly<Record<string, unknown>>, name: string, check: Check): string | undefined {
  const given = value[name];
  if (typeof given === "string" && given !== "" && given.length <= 253) return given;
  if (given === undefined || given === null) check.error(`field "${name}" is required`, { code: codes.missingField });
  else check.at(name).error(`${name} must be a string`, { code: codes.wrongType });
  return undefined;
}

function hasErrors(check: Check): boolean {
  return check.findings.some((finding) => finding.level === "error");
}

function undecoded(
  document: DocumentValue,
  check: Check,
  kind: KindName | undefined,
  options: DecodeOptions = {},
): UndecodedDocument {
  const diagnostics = check.findings.slice(0, limits.findings).map((finding) => toDiagnostic(finding, document.locate));
  return { ...identityOf(document, kind, options), diagnostics };
}

function identityOf(
  document: DocumentValue,
  kind: KindName | undefined,
  options: DecodeOptions,
): Omit<UndecodedDocument, "diagnostics"> {
  const value = isRecord(document.value) ? document.value : {};
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  const text = (given: unknown) => (typeof given === "string" ? given : "");
  const name = text(metadata.name);
  const namespaced = kind === undefined || kinds[kind].scope === "Namespaced";
  const namespace = namespaced ? text(metadata.namespace) || (options.defaultNamespace ?? "default") : "";
  return {
    ok: false,
    ignored: false,
    key: kind === undefined || name === "" ? undefined : resourceKey(kind, namespace, name),
    kind: text(value.kind),
    namespace,
    name,
    origin: document.locate([], "value"),
  };
}
