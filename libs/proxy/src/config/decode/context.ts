import type { HttpFilterFactory, NetworkFilterFactory } from "../../chain/spi.ts";
import type { SecretSpec } from "../plan.ts";

/** What decoding needs to know about the program around it. */
export interface DecodeContext {
  readonly httpFilters: readonly HttpFilterFactory[];
  readonly networkFilters: readonly NetworkFilterFactory[];
  /** Reads a file a `DataSource` names; throws when it cannot. */
  readFile(path: string): Buffer;
  /** Value of an environment variable a `DataSource` names. */
  readEnv(name: string): string | undefined;
  /** PEM of the operating system's trust store. Called only when a resource asks for it. */
  systemRoots(): string;
}

/** Decoding of one resource: secrets written inline are collected here and travel beside the resource. */
export interface DecodeRun extends DecodeContext {
  readonly secrets: Map<string, SecretSpec>;
}

export function decodeRun(context: DecodeContext): DecodeRun {
  return { ...context, secrets: new Map() };
}
