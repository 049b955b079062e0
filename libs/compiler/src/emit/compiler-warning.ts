import type { Diagnostic } from "@lateen/mesh-model";

/** A warning about an object. The compiler does not know where objects are written: who does puts the place in. */
export interface CompilerWarning extends Diagnostic {
  /** Key of the object. */
  readonly about: string;
}

export function warningAbout(about: string, code: string, path: string, message: string): CompilerWarning {
  return {
    level: "warning",
    code,
    message: `${about}: ${message}`,
    path,
    origin: { file: "", line: 1, column: 1 },
    about,
  };
}
