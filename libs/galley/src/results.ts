import { type Diagnostic, diagnosticText, formatOrigin } from "@lateen/mesh-model";

/** What became of one document of an apply. `ignored`: a kind that is not part of a mesh; nothing was done. */
export type ApplyAction = "created" | "configured" | "unchanged" | "ignored" | "rejected";

export interface ApplyResult {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly action: ApplyAction;
  readonly file: string;
  /** Of the document's first field; lines start at 1. */
  readonly line: number;
  /** Each begins with `file:line:column: `. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

export interface RemoveResult {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly action: "deleted" | "notFound" | "rejected";
  readonly errors: readonly string[];
}

/** `file:line:column: path: message; hint` */
export function describeDiagnostic(diagnostic: Diagnostic): string {
  return `${formatOrigin(diagnostic.origin)}: ${diagnosticText(diagnostic)}`;
}
