import type { Metadata } from "@lateen/proto/envoy/config/core/v3/base";

/** One namespace of filter metadata as a plain object; empty when absent. */
export function filterMetadata(metadata: Metadata | undefined, name: string): Readonly<Record<string, unknown>> {
  return metadata?.filterMetadata[name] ?? {};
}

/** Which user object made this, as the control plane notes it: `istio.config`, a resource path. */
export function originOf(metadata: Metadata | undefined): string | undefined {
  const lateen = filterMetadata(metadata, "lateen").origin;
  if (typeof lateen === "string") return lateen;
  const config = filterMetadata(metadata, "istio").config;
  return typeof config === "string" ? config : undefined;
}

/** Only the string entries of a struct. */
export function stringEntries(struct: Readonly<Record<string, unknown>> | undefined): Readonly<Record<string, string>> {
  const entries = Object.entries(struct ?? {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return Object.fromEntries(entries);
}
