import type { FilterContext, WorkloadFacts } from "@lateen/proxy";
import { decodeStruct, encodeStruct, type TextStruct } from "./struct.ts";

/** What a peer's metadata header says. */
export interface PeerClaim {
  readonly facts: WorkloadFacts;
  /** It is a proxy of this project: it knows its destinations from their endpoints and needs no answer. */
  readonly lateen: boolean;
}

const CANONICAL_NAME = "service.istio.io/canonical-name";
const CANONICAL_REVISION = "service.istio.io/canonical-revision";

/** Value of `x-envoy-peer-metadata`: base64 of a Struct with the keys that Istio's proxies send. */
export function encodeFacts(self: FilterContext["self"]): string {
  const labels: Record<string, string> = { [CANONICAL_NAME]: self.canonicalService };
  labels[CANONICAL_REVISION] = self.canonicalRevision;
  if (self.app !== "") labels.app = self.app;
  if (self.version !== "") labels.version = self.version;
  const struct: TextStruct = {
    CLUSTER_ID: self.cluster,
    LABELS: labels,
    LATEEN: "1",
    NAMESPACE: self.namespace,
    WORKLOAD_NAME: self.workload,
  };
  return Buffer.from(encodeStruct(struct)).toString("base64");
}

/** Longest value that is read. */
const MAX_LENGTH = 16 * 1024;

/** Reads a metadata header; undefined when it is no such thing. */
export function decodeFacts(value: string): PeerClaim | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const struct = decodeStruct(Buffer.from(value, "base64"));
  const labels = struct?.LABELS;
  if (struct === undefined) return undefined;
  const workload = text(struct.WORKLOAD_NAME);
  const label = (name: string) => (typeof labels === "object" ? text(labels[name]) : "");
  const app = label("app");
  const version = label("version");
  const facts: WorkloadFacts = {
    workload,
    namespace: text(struct.NAMESPACE),
    app,
    version,
    canonicalService: label(CANONICAL_NAME) || label("app.kubernetes.io/name") || app || workload,
    canonicalRevision: label(CANONICAL_REVISION) || label("app.kubernetes.io/version") || version || "latest",
    cluster: text(struct.CLUSTER_ID),
  };
  return { facts, lateen: struct.LATEEN !== undefined };
}

/** Longest text that becomes a label. */
const MAX_TEXT = 253;

function text(value: string | TextStruct | undefined): string {
  return typeof value === "string" ? value.slice(0, MAX_TEXT) : "";
}
