import type { Path } from "../decode/types.ts";
import type { ResourceKey } from "../key.ts";
import type { Resource } from "../kinds/index.ts";
import type { Diagnostic, Origin } from "../origin.ts";
import type { FindingCode, Severity } from "./messages.ts";

/** Something that only shows when objects are seen together. Its level is always `warning`: the object serves all the same. */
export interface AnalysisFinding extends Diagnostic {
  readonly code: FindingCode;
  /** Istio's name of the code. */
  readonly name: string;
  readonly severity: Severity;
  /** The object it is about. */
  readonly object: ResourceKey;
}

export interface AnalyzeOptions {
  /** Where a field of an object was written; without it every finding points at `<memory>`. */
  readonly originOf?: (object: Resource, path: Path) => Origin;
  /** DNS domain of services; default `cluster.local`. */
  readonly domain?: string;
  /** Default `istio-system`. */
  readonly rootNamespace?: string;
  /**
   * Labels of workloads that run without being declared among the objects, by namespace. Default: the ingress and the egress
   * gateway that every local mesh has, in the root namespace.
   */
  readonly builtInWorkloads?: readonly {
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
  /** Hosts that exist without being declared. Default: the Services of those two gateways. */
  readonly builtInHosts?: readonly string[];
}

/** How an analyzer reports: code, path within the object, text. */
export type Report = (object: Resource, code: FindingCode, path: Path, message: string, hint?: string) => void;
