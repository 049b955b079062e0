import type { WorldChange } from "../feed/world.ts";

/** Why there was a push, in Istio's words (label `type` of `pilot_push_triggers`). */
export type PushReason = "config" | "service" | "endpoint" | "secret" | "namespace" | "global" | "unknown";

const REASONS: Readonly<Record<string, PushReason>> = {
  Service: "service",
  ServiceEntry: "service",
  Pod: "endpoint",
  EndpointSlice: "endpoint",
  Endpoints: "endpoint",
  WorkloadEntry: "endpoint",
  Node: "endpoint",
  Secret: "secret",
  Namespace: "namespace",
};

/** The reasons of a push, each once. @param settings whether the mesh configuration became another. */
export function pushReasons({ upserted, removed }: WorldChange, settings: boolean): ReadonlySet<PushReason> {
  const reasons = new Set<PushReason>();
  const note = (kind: string) => reasons.add(REASONS[kind] ?? "config");
  for (const { kind } of upserted) note(kind);
  for (const key of removed) note(key.slice(0, key.indexOf("/")));
  if (settings) reasons.add("global");
  // Keys of token issuers, or an object that became what it had been.
  if (reasons.size === 0) reasons.add("unknown");
  return reasons;
}
