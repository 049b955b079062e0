import type { LocalityLbSetting, MeshConfig, MeshService } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { type Cluster, Cluster_LbPolicy } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { RouteAction_HashPolicy } from "@lateen/proto/envoy/config/route/v3/route_components";
import { HOST_LABEL } from "./localities.ts";
import { milliseconds, type PolicyBlocks } from "./traffic-policy.ts";

type LoadBalancer = NonNullable<PolicyBlocks["loadBalancer"]>;
export type ConsistentHash = NonNullable<LoadBalancer["consistentHash"]>;
type Fields = Parameters<typeof Cluster.fromPartial>[0];

const RING_SIZE = 1024;
const MAGLEV_SIZE = 65_537;
/** Share of its weight that a new endpoint begins with, percent. */
const WARMUP_PERCENT = 10;

/** The balancer of a cluster. Istio's default is the less busy of two. */
export function balancer(policy: PolicyBlocks): Fields {
  const { loadBalancer } = policy;
  const hash = loadBalancer?.consistentHash;
  if (hash !== undefined) return hashBalancer(hash);
  const slowStartConfig = slowStart(loadBalancer);
  switch (loadBalancer?.simple) {
    case "ROUND_ROBIN":
      return {
        lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
        ...(slowStartConfig === undefined
          ? {}
          : { lbConfig: { $case: "roundRobinLbConfig", value: { slowStartConfig } } }),
      };
    case "RANDOM":
      return { lbPolicy: Cluster_LbPolicy.RANDOM };
    default:
      return {
        lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
        ...(slowStartConfig === undefined
          ? {}
          : { lbConfig: { $case: "leastRequestLbConfig", value: { slowStartConfig } } }),
      };
  }
}

function hashBalancer(hash: ConsistentHash): Fields {
  if (hash.maglev !== undefined) {
    return {
      lbPolicy: Cluster_LbPolicy.MAGLEV,
      lbConfig: { $case: "maglevLbConfig", value: { tableSize: BigInt(hash.maglev.tableSize || MAGLEV_SIZE) } },
    };
  }
  const minimum = hash.ringHash?.minimumRingSize || hash.minimumRingSize || RING_SIZE;
  return {
    lbPolicy: Cluster_LbPolicy.RING_HASH,
    lbConfig: { $case: "ringHashLbConfig", value: { minimumRingSize: BigInt(minimum) } },
  };
}

function slowStart(loadBalancer: LoadBalancer | undefined) {
  const window = loadBalancer?.warmup?.duration ?? loadBalancer?.warmupDurationSecs;
  if (window === undefined || milliseconds(window) === 0) return undefined;
  const { aggression = 1, minimumPercent = WARMUP_PERCENT } = loadBalancer?.warmup ?? {};
  return {
    slowStartWindow: durationFromMs(milliseconds(window)),
    aggression: { defaultValue: aggression, runtimeKey: "" },
    minWeightPercent: { value: minimumPercent },
  };
}

/** What requests are hashed by, for routes to a cluster with consistent hashing. */
export function hashPolicies(hash: ConsistentHash): readonly RouteAction_HashPolicy[] {
  const policy = (policySpecifier: RouteAction_HashPolicy["policySpecifier"]) =>
    RouteAction_HashPolicy.fromPartial({ policySpecifier });
  if (hash.httpHeaderName !== undefined) {
    return [policy({ $case: "header", value: { headerName: hash.httpHeaderName } })];
  }
  if (hash.httpQueryParameterName !== undefined) {
    return [policy({ $case: "queryParameter", value: { name: hash.httpQueryParameterName } })];
  }
  const cookie = hash.httpCookie;
  if (cookie !== undefined) {
    return [
      policy({
        $case: "cookie",
        value: {
          name: cookie.name,
          path: cookie.path ?? "",
          ...(cookie.ttl === undefined ? {} : { ttl: durationFromMs(milliseconds(cookie.ttl)) }),
          attributes: (cookie.attributes ?? []).map(({ name = "", value = "" }) => ({ name, value })),
        },
      }),
    ];
  }
  return hash.useSourceIp ? [policy({ $case: "connectionProperties", value: { sourceIp: true } })] : [];
}

/** How clients prefer near endpoints: as the rule says, else the mesh; undefined: localities do not matter. */
export function localitySetting(
  policy: PolicyBlocks,
  config: MeshConfig,
  service: Pick<MeshService, "trafficDistribution">,
): LocalityLbSetting | undefined {
  const zoneAware = zoneAwareSetting(policy);
  if (zoneAware !== undefined) return zoneAware;
  const setting =
    policy.loadBalancer?.localityLbSetting ?? distributionSetting(service) ?? config.localityLbSetting ?? {};
  return setting.enabled === false ? undefined : setting;
}

/**
 * Whether far endpoints are used only when near ones fail. A service that asks for near ones gets that by itself; otherwise it
 * takes outlier detection, or nothing would tell that near ones fail.
 */
export function failsOver(policy: PolicyBlocks, service: Pick<MeshService, "trafficDistribution">): boolean {
  const own = policy.loadBalancer?.localityLbSetting === undefined && distributionSetting(service) !== undefined;
  return own || policy.outlierDetection !== undefined || zoneAwareSetting(policy) !== undefined;
}

/** The rule leaves it to the proxy to prefer its own zone; only regions are told apart here. */
export function zoneAwareSetting(policy: PolicyBlocks): ZoneAwareSetting | undefined {
  const setting = policy.loadBalancer?.zoneAwareLbSetting;
  return setting?.enabled ? setting : undefined;
}

type ZoneAwareSetting = NonNullable<LoadBalancer["zoneAwareLbSetting"]>;

const NEAR = [
  "topology.istio.io/network",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "topology.istio.io/subzone",
];

function distributionSetting({
  trafficDistribution,
}: Pick<MeshService, "trafficDistribution">): LocalityLbSetting | undefined {
  if (trafficDistribution === undefined) return undefined;
  const failoverPriority = trafficDistribution === "PreferSameNode" ? [...NEAR, HOST_LABEL] : NEAR;
  return { failoverPriority };
}
