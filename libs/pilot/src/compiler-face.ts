import type { Compiler } from "@lateen/compiler";

/** What pilot needs of the compiler; a part of {@link Compiler}, so that tests can stand in for it. */
export type PilotCompiler = Pick<Compiler, "apply" | "resources" | "warnings"> &
  Partial<Pick<Compiler, "content" | "stats" | "status" | "kindOf" | "kinds" | "retain">>;
