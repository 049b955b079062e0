import { type ExtensionProvider, type MeshConfig, type Telemetry, targetsOf } from "@lateen/mesh-model";
import { defineQuery, type Query } from "../engine/query-engine.ts";
import { sameJson, sameList } from "../resource.ts";
import { type MetricsUse, metricsOf } from "./metrics.ts";
import { byAge } from "./objects.ts";
import { type PolicySubject, selectsWorkload } from "./policies.ts";
import { listOf, meshConfigOf } from "./services.ts";

type Spec = NonNullable<Telemetry["spec"]>;
type Logging = NonNullable<Spec["accessLogging"]>[number];
type Tracing = NonNullable<Spec["tracing"]>[number];
/** On which side of a call a proxy stands. */
export type Side = "CLIENT" | "SERVER";

/** A log to write. */
export interface LogUse {
  readonly provider: string;
  /** CEL; undefined: everything is logged. */
  readonly filter: string | undefined;
}

/** How requests are traced. */
export interface TracingUse {
  readonly provider: string;
  /** Undefined: the default. */
  readonly samplingPercent: number | undefined;
  /** Contexts are passed on, and nothing is told to the provider. */
  readonly silent: boolean;
  readonly customTags: NonNullable<Tracing["customTags"]>;
  readonly useRequestId: boolean;
  readonly istioTags: boolean;
}

/** What Telemetry objects say of a workload on one side. */
export interface Observation {
  /** Undefined: none says anything of logs, so the mesh configuration holds. */
  readonly logs: readonly LogUse[] | undefined;
  readonly tracing: TracingUse | undefined;
  /** Undefined: the standard metrics as they are by default. */
  readonly metrics: MetricsUse | undefined;
}

/**
 * Telemetry objects that hold for a workload, the least specific first: of the root namespace for all, then with a matching selector,
 * then the same of its own namespace. Of several at one place the oldest counts.
 */
export const telemetriesFor: Query<PolicySubject, readonly Telemetry[]> = defineQuery<
  PolicySubject,
  readonly Telemetry[]
>({
  name: "telemetries",
  compute: (read, subject) => {
    const namespaces = [...new Set([meshConfigOf(read).rootNamespace, subject.namespace])];
    return namespaces.flatMap((candidate) => {
      const all = byAge(listOf(read, "Telemetry", candidate));
      const wide = all.find(isWide);
      const selected = all.find((one) => !isWide(one) && selectsWorkload(candidate, one.spec ?? {}, subject));
      return [wide, selected].filter((one) => one !== undefined);
    });
  },
  equal: sameList,
});

/** It neither selects workloads nor names targets. */
function isWide({ spec = {} }: Telemetry): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length === 0 && targetsOf(spec).length === 0;
}

/** What holds for a workload on one side. */
export const observationOf: Query<PolicySubject & { readonly side: Side }, Observation> = defineQuery<
  PolicySubject & { readonly side: Side },
  Observation
>({
  name: "observation",
  compute: (read, { side, ...subject }) => {
    const config = meshConfigOf(read);
    const telemetries = read.ask(telemetriesFor, subject);
    return {
      logs: logsOf(telemetries, config, side),
      tracing: tracingOf(telemetries, config, side),
      metrics: metricsOf(telemetries, config, side),
    };
  },
  equal: sameJson,
});

function holds(match: Logging["match"], side: Side): boolean {
  return match?.mode === undefined || match.mode === "CLIENT_AND_SERVER" || match.mode === side;
}

/** The most specific object that names providers decides which there are; entries then apply from the least specific on. */
function logsOf(telemetries: readonly Telemetry[], config: MeshConfig, side: Side): Observation["logs"] {
  const levels = telemetries
    .map(({ spec }) => (spec?.accessLogging ?? []).filter(({ match }) => holds(match, side)))
    .filter((entries) => entries.length > 0);
  if (levels.length === 0) return undefined;
  let inForce = config.defaultProviders.accessLogging;
  for (const entries of levels) {
    const named = entries.flatMap(namesOf);
    if (named.length > 0) inForce = named;
  }
  const uses = new Map<string, LogUse>();
  let inherited = config.defaultProviders.accessLogging;
  for (const entry of levels.flat()) {
    const own = namesOf(entry);
    if (own.length > 0) inherited = own;
    for (const provider of inherited.filter((name) => inForce.includes(name))) {
      if (entry.disabled) uses.delete(provider);
      else uses.set(provider, { provider, filter: entry.filter?.expression });
    }
  }
  return [...uses.values()].sort((a, b) => (a.provider < b.provider ? -1 : 1));
}

function namesOf({ providers = [] }: { readonly providers?: readonly { readonly name: string }[] }): readonly string[] {
  return providers.map(({ name }) => name);
}

/** Each setting is that of the most specific object that has it. */
function tracingOf(telemetries: readonly Telemetry[], config: MeshConfig, side: Side): TracingUse | undefined {
  let provider = config.defaultProviders.tracing?.[0];
  const merged: { -readonly [K in keyof Tracing]: Tracing[K] } = {};
  for (const { spec } of telemetries) {
    const entry = (spec?.tracing ?? []).find(({ match }) => holds(match, side));
    if (entry === undefined) continue;
    provider = entry.providers?.[0]?.name ?? provider;
    const { providers: _, match: __, ...settings } = entry;
    Object.assign(merged, settings);
  }
  if (provider === undefined) return undefined;
  return {
    provider,
    samplingPercent: merged.randomSamplingPercentage,
    silent: merged.disableSpanReporting ?? false,
    customTags: merged.customTags ?? {},
    useRequestId: merged.useRequestIdForTraceSampling ?? true,
    istioTags: merged.enableIstioTags ?? true,
  };
}

/** The provider of a name. */
export function providerNamed(config: MeshConfig, name: string): ExtensionProvider | undefined {
  return config.extensionProviders.find((candidate) => candidate.name === name);
}
