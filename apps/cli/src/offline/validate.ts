import {
  type DecodedDocument,
  type Diagnostic,
  decodeText,
  meshConfigFromConfigMap,
  type Resource,
} from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import { shortPath } from "../mesh/client.ts";
import type { SourceText } from "../mesh/documents.ts";
import type { Paint } from "../output/color.ts";

/** One problem of an object. */
export interface Finding {
  readonly message: string;
  /** JSON path of the field, such as `spec.http[0].route`. */
  readonly path: string;
  readonly line: number;
}

/** The verdict on one object. */
export interface ValidationResult {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly valid: boolean;
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
}

const MESH_CONFIG = { namespace: "istio-system", name: "istio" };

/** Checks every object of some texts as galley would on admission. */
export function validateSources(
  cli: Cli,
  sources: readonly SourceText[],
  namespace: string,
): readonly ValidationResult[] {
  return sources.flatMap((source) =>
    decodeText({ file: shortPath(cli, source.file), text: source.text }, { defaultNamespace: namespace }).map(verdict),
  );
}

function verdict(document: DecodedDocument): ValidationResult {
  const { file, line } = document.origin;
  if (!document.ok) {
    const { kind, namespace, name, diagnostics } = document;
    const errors = diagnostics.filter(({ level }) => level === "error").map(finding);
    const warnings = diagnostics.filter(({ level }) => level === "warning").map(finding);
    return { kind, namespace, name, file, line, valid: document.ignored, errors, warnings };
  }
  const { object } = document;
  const errors = meshConfigProblems(object).filter(({ level }) => level === "error");
  return {
    kind: object.kind,
    namespace: object.metadata.namespace,
    name: object.metadata.name,
    file,
    line,
    valid: errors.length === 0,
    errors: errors.map(finding),
    warnings: document.warnings.map(finding),
  };
}

/** The ConfigMap `istio` of the root namespace is mesh configuration. */
function meshConfigProblems(object: Resource): readonly Diagnostic[] {
  if (object.kind !== "ConfigMap") return [];
  if (object.metadata.name !== MESH_CONFIG.name || object.metadata.namespace !== MESH_CONFIG.namespace) return [];
  const config = meshConfigFromConfigMap(object);
  return config.ok ? [] : config.error;
}

function finding({ message, path, hint, origin }: Diagnostic): Finding {
  return { message: hint === undefined ? message : `${message}; ${hint}`, path, line: origin.line };
}

/** One line an object, problems below it. */
export function validationText(results: readonly ValidationResult[], ink: Paint): string {
  const lines = results.flatMap((result) => {
    const name =
      `${result.kind || "document"} ${result.namespace === "" ? "" : `${result.namespace}/`}${result.name}`.trimEnd();
    return [
      `${result.file}:${result.line}: ${name}: ${result.valid ? ink.good("valid") : ink.bad("invalid")}`,
      ...result.errors.map((it) => `  ${result.file}:${it.line}: ${ink.bad("error:")} ${withPath(it)}`),
      ...result.warnings.map((it) => `  ${result.file}:${it.line}: ${ink.warn("warning:")} ${withPath(it)}`),
    ];
  });
  const invalid = results.filter(({ valid }) => !valid).length;
  lines.push(`${results.length - invalid} valid, ${invalid} invalid`);
  return `${lines.join("\n")}\n`;
}

function withPath({ path, message }: Finding): string {
  return path === "" || message.includes(path) ? message : `${path}: ${message}`;
}
