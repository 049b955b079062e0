import { parseAllDocuments } from "yaml";
import type { ExtraWorkload } from "./shop.ts";

interface PodSpec {
  readonly serviceAccountName?: string;
  readonly containers?: readonly {
    readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  }[];
}
interface Workload {
  readonly kind?: string;
  readonly metadata?: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: PodSpec & {
    readonly template?: { readonly metadata?: Workload["metadata"]; readonly spec?: PodSpec };
  };
  readonly status?: { readonly podIP?: string };
}

/** Deployments and Pods of a text that a proxy could be started for. */
export function workloadsIn(text: string): readonly ExtraWorkload[] {
  return parseAllDocuments(text).flatMap((document) => {
    const { kind, metadata, spec, status } = (document.toJS() ?? {}) as Workload;
    if (metadata === undefined || (kind !== "Deployment" && kind !== "Pod")) return [];
    const pod = kind === "Pod" ? spec : spec?.template?.spec;
    const labels = (kind === "Pod" ? metadata.labels : spec?.template?.metadata?.labels) ?? {};
    const ports = (pod?.containers ?? []).flatMap(({ ports: own = [] }) => own);
    return [
      {
        name: metadata.name,
        namespace: metadata.namespace ?? "default",
        serviceAccount: pod?.serviceAccountName ?? "default",
        labels,
        ports,
        ...(status?.podIP === undefined ? {} : { address: status.podIP }),
      },
    ];
  });
}
