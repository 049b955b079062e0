import type { LocalityLbSetting } from "@lateen/mesh-model";
import type { PlacedEndpoint } from "./endpoints.ts";
import type { Labels } from "./proto.ts";

/** Endpoints of one locality that are equally far from the client. */
export interface LocalityGroup {
  /** `region/zone/subzone` */
  readonly locality: string;
  /** 0 is preferred. */
  readonly priority: number;
  readonly weight: number;
  readonly entries: readonly PlacedEndpoint[];
}

/** Where a client is. */
export interface ClientPlace {
  /** `region/zone/subzone`; empty: unknown. */
  readonly locality: string;
  readonly labels: Labels;
  /** Where there is more than one. */
  readonly network?: string;
  /** Where it matters. */
  readonly machine?: string;
}

/** What decides on groups. Failover needs outlier detection: nothing else would tell that a priority fails. */
export interface LocalityPreference {
  readonly client: ClientPlace;
  readonly setting: LocalityLbSetting | undefined;
  readonly failover: boolean;
  /** Localities are told apart by their region alone: the proxy chooses among zones itself. */
  readonly regions?: boolean;
}

/** Groups endpoints by locality and, where the setting asks for it, weighs the groups or orders them by distance. */
export function localityGroups(
  placed: readonly PlacedEndpoint[],
  preference: LocalityPreference | undefined,
): readonly LocalityGroup[] {
  const plain = grouped(placed, () => 0);
  if (preference?.setting === undefined) return plain;
  const { setting, client, failover } = preference;
  if (setting.distribute?.length) return distributed(plain, setting.distribute, client.locality);
  if (!failover) return plain;
  return consecutive(grouped(placed, rank(setting, client, preference.regions ?? false)));
}

function weightOf(entry: PlacedEndpoint): number {
  return Math.max(1, entry.endpoint.weight);
}

function grouped(
  placed: readonly PlacedEndpoint[],
  priorityOf: (entry: PlacedEndpoint) => number,
): readonly LocalityGroup[] {
  const groups = new Map<string, { locality: string; priority: number; entries: PlacedEndpoint[] }>();
  for (const entry of placed) {
    const { locality } = entry.endpoint;
    const priority = priorityOf(entry);
    const key = `${priority} ${locality}`;
    const group = groups.get(key) ?? { locality, priority, entries: [] };
    groups.set(key, group);
    group.entries.push(entry);
  }
  return [...groups.values()]
    .sort((a, b) => a.priority - b.priority || (a.locality < b.locality ? -1 : a.locality > b.locality ? 1 : 0))
    .map((group) => ({ ...group, weight: group.entries.reduce((sum, entry) => sum + weightOf(entry), 0) }));
}

/** Priorities without gaps, as Envoy asks for them. */
function consecutive(groups: readonly LocalityGroup[]): readonly LocalityGroup[] {
  const known = [...new Set(groups.map((group) => group.priority))].sort((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: known.indexOf(group.priority) }));
}

function rank(setting: LocalityLbSetting, client: ClientPlace, regions: boolean): (entry: PlacedEndpoint) => number {
  const { failover, failoverPriority = [] } = setting;
  const distance = (entry: PlacedEndpoint) => {
    const exact = localityDistance(entry.endpoint.locality, client.locality, failover);
    return regions ? Math.max(0, exact - SAME_REGION) : exact;
  };
  if (failoverPriority.length === 0) return distance;
  const byLabels = (entry: PlacedEndpoint) => labelDistance(entry, client, failoverPriority);
  // Regions to fail over to tell apart what the labels leave equal.
  return failover?.length ? (entry) => byLabels(entry) * FARTHEST + distance(entry) : byLabels;
}

/** One more than the largest {@link localityDistance}. */
const FARTHEST = 5;

/** The largest distance within a region. */
const SAME_REGION = 2;

/** 0: the same locality, 1: the same zone, 2: the same region, 3: elsewhere, 4: elsewhere but not where failover leads. */
function localityDistance(locality: string, client: string, failover: LocalityLbSetting["failover"]): number {
  const [region = "", zone = "", subZone = ""] = client.split("/");
  const [otherRegion = "", otherZone = "", otherSubZone = ""] = locality.split("/");
  if (otherRegion !== region) {
    const target = failover?.find((entry) => entry.from === region)?.to;
    return target !== undefined && target !== otherRegion ? 4 : 3;
  }
  if (otherZone !== zone) return 2;
  return otherSubZone === subZone ? 0 : 1;
}

/** How many of the labels, in their order, an endpoint fails to share with the client, the first mismatch ending the count. */
function labelDistance(entry: PlacedEndpoint, client: ClientPlace, wanted: readonly string[]): number {
  for (const [index, text] of wanted.entries()) {
    const equals = text.indexOf("=");
    const name = equals < 0 ? text : text.slice(0, equals);
    const expected = equals < 0 ? placeLabel(name, client) : text.slice(equals + 1);
    if (placeLabel(name, entry.endpoint) !== expected) return wanted.length - index;
  }
  return 0;
}

/** Label of machines with their name. */
export const HOST_LABEL = "kubernetes.io/hostname";
const NETWORK_LABEL = "topology.istio.io/network";
const LOCALITY_LABELS = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/** Labels of the place come from the locality where the workload does not carry them. */
function placeLabel(name: string, { labels, locality, network, machine }: ClientPlace): string | undefined {
  const own = labels[name];
  if (own !== undefined) return own;
  if (name === HOST_LABEL) return machine || undefined;
  if (name === NETWORK_LABEL) return network || undefined;
  const part = LOCALITY_LABELS.indexOf(name);
  return part < 0 ? undefined : locality.split("/")[part] || undefined;
}

/** Shares of localities as written for clients from here; localities that are not written get nothing. */
function distributed(
  groups: readonly LocalityGroup[],
  distribute: NonNullable<LocalityLbSetting["distribute"]>,
  client: string,
): readonly LocalityGroup[] {
  const written = distribute.find((entry) => localityMatches(entry.from ?? "", client));
  if (written === undefined) return groups;
  const weights = new Map<LocalityGroup, number>();
  const targets = Object.entries(written.to ?? {}).sort(
    ([a], [b]) => specificity(b) - specificity(a) || (a < b ? -1 : 1),
  );
  for (const [pattern, weight] of targets) {
    const matching = groups.filter((group) => !weights.has(group) && localityMatches(pattern, group.locality));
    const total = matching.reduce((sum, group) => sum + group.weight, 0);
    for (const group of matching) weights.set(group, Math.ceil((group.weight * weight) / total));
  }
  return groups.flatMap((group) => {
    const weight = weights.get(group);
    return weight === undefined ? [] : [{ ...group, weight }];
  });
}

function specificity(pattern: string): number {
  return pattern.split("/").filter((part) => part !== "*").length;
}

/** Parts that are `*` or not written match all. */
function localityMatches(pattern: string, locality: string): boolean {
  const parts = locality.split("/");
  return pattern.split("/").every((part, index) => part === "*" || part === "" || part === (parts[index] ?? ""));
}
