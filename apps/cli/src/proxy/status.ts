import { notFound } from "../errors.ts";
import { table } from "../output/table.ts";

/** One type of one proxy, as pilot's /debug/syncz tells. */
interface TypeStatus {
  readonly sent?: string;
  readonly acked?: string;
  readonly resources?: number;
  readonly nack?: unknown;
  readonly failure?: string;
}

/** One connected proxy. */
export interface ProxyStatus {
  readonly node: string;
  readonly pod: string;
  readonly namespace: string;
  readonly version?: string;
  readonly synced: boolean;
  readonly connectedAt?: string;
  /** Which pilot it is connected to, where there are several. */
  readonly pilot?: string;
  readonly types: Readonly<Record<string, TypeStatus>>;
}

/** Types in the order of istioctl's columns. */
const COLUMNS: readonly (readonly [string, string])[] = [
  ["CDS", "type.googleapis.com/envoy.config.cluster.v3.Cluster"],
  ["LDS", "type.googleapis.com/envoy.config.listener.v3.Listener"],
  ["EDS", "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"],
  ["RDS", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"],
  ["NDS", "type.googleapis.com/istio.networking.nds.v1.NameTable"],
];

/**
 * The proxies in pilot's answer, by name; with `workload` only those of that pod or workload.
 * @throws LTN7504 when there is none.
 */
export function proxyStatuses(answer: unknown, workload: string | undefined): readonly ProxyStatus[] {
  const list =
    typeof answer === "object" && answer !== null && "proxies" in answer && Array.isArray(answer.proxies)
      ? (answer.proxies as readonly ProxyStatus[])
      : [];
  const found = list.filter((proxy) => workload === undefined || names(proxy, workload));
  if (workload !== undefined && found.length === 0) {
    throw notFound(`no connected proxy of "${workload}"`, "`lateen proxy-status` lists them");
  }
  return [...found].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** istioctl's table; with `details` what each proxy refused. */
export function proxyStatusText(statuses: readonly ProxyStatus[], details: boolean): string {
  const headers = ["NAME", "CLUSTER", ...COLUMNS.map(([name]) => name), "ISTIOD", "VERSION"];
  const rows = statuses.map((proxy) => [
    nameOf(proxy),
    "local",
    ...COLUMNS.map(([, typeUrl]) => wordOf(proxy.types[typeUrl])),
    proxy.pilot ?? "control-plane",
    proxy.version ?? "",
  ]);
  return table(headers, rows) + (details ? statuses.map(refusals).join("") : "");
}

/** istioctl's words for the state of a type. */
function wordOf(status: TypeStatus | undefined): string {
  if (status === undefined) return "NOT SENT";
  if (status.nack !== undefined || status.failure !== undefined) return "ERROR";
  if (status.sent === undefined) return "NOT SENT";
  return status.sent === status.acked ? "SYNCED" : "STALE";
}

function refusals(proxy: ProxyStatus): string {
  return Object.entries(proxy.types)
    .flatMap(([typeUrl, { nack, failure }]) => {
      const name = typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
      return [
        ...(nack === undefined ? [] : [`\n${nameOf(proxy)} refused ${name}: ${describe(nack)}\n`]),
        ...(failure === undefined ? [] : [`\n${name} for ${nameOf(proxy)} cannot be computed: ${failure}\n`]),
      ];
    })
    .join("");
}

function describe(nack: unknown): string {
  if (typeof nack === "object" && nack !== null && "message" in nack) return String(nack.message);
  return typeof nack === "string" ? nack : JSON.stringify(nack);
}

function nameOf({ pod, namespace }: ProxyStatus): string {
  return `${pod}.${namespace}`;
}

/** A pod is named after its workload and two generated parts. */
function names(proxy: ProxyStatus, wanted: string): boolean {
  const { pod, namespace } = proxy;
  const workload = pod.replace(/-[a-z0-9]+(-[a-z0-9]+)?$/, "");
  const short = pod.replace(/-[a-z0-9]+$/, "");
  return [pod, workload, short].some((name) => wanted === name || wanted === `${name}.${namespace}`);
}
