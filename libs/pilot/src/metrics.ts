import type { EngineStats } from "@lateen/compiler";
import { createRegistry } from "@lateen/telemetry";
import { type SentFacts, xdsTypes } from "@lateen/xds";
import type { PushReason } from "./push/push-reasons.ts";
import type { ServiceFacts } from "./service-facts.ts";
import type { WorldFacts } from "./world-facts.ts";

/** Label values of Istio's `type`. Clients choose the types they ask for, so all others share one. */
const SHORT: ReadonlyMap<string, string> = new Map([
  [xdsTypes.cluster, "cds"],
  [xdsTypes.endpoint, "eds"],
  [xdsTypes.listener, "lds"],
  [xdsTypes.route, "rds"],
  [xdsTypes.secret, "sds"],
  [xdsTypes.nds, "nds"],
  [xdsTypes.extension, "ecds"],
]);
/** As Istio has them. */
const BYTES = [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000];
const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30];

/** What a scrape looks at. */
export interface ScrapeFacts {
  readonly world: WorldFacts;
  readonly services: ServiceFacts;
  /** Type URL → proxies that refuse what they were sent of it last. */
  readonly refusing: ReadonlyMap<string, number>;
  /** Work of the compiler, if it says. */
  readonly compiler?: EngineStats | undefined;
}

/** Types whose refusals have a metric of their own. */
const REFUSABLE = [xdsTypes.cluster, xdsTypes.endpoint, xdsTypes.listener, xdsTypes.route] as const;

/** Pilot's metrics, under the names Istio gave them. */
export class PilotMetrics {
  readonly #registry = createRegistry();
  readonly #connected = this.#registry.gauge({
    name: "pilot_xds",
    help: "Number of endpoints connected to this pilot using XDS.",
    labels: ["version"],
    maxSeries: 100,
  });
  readonly #pushes = this.#registry.counter({
    name: "pilot_xds_pushes",
    help: "Responses sent, by type of resource.",
    labels: ["type"],
  });
  readonly #rejects = this.#registry.counter({
    name: "pilot_total_xds_rejects",
    help: "Total number of XDS responses from pilot rejected by proxy.",
    labels: ["type"],
  });
  readonly #internalErrors = this.#registry.counter({
    name: "pilot_total_xds_internal_errors",
    help: "Total number of internal XDS errors in pilot.",
  });
  readonly #refused = this.#registry.counter({
    name: "pilot_xds_refused_total",
    help: "Streams refused because identity and node do not match, or the node cannot be read.",
  });
  readonly #updates = this.#registry.counter({
    name: "pilot_inbound_updates",
    help: "Total number of updates received by pilot.",
    labels: ["type"],
  });
  readonly #triggers = this.#registry.counter({
    name: "pilot_push_triggers",
    help: "Total number of times a push was triggered, labeled by reason for the push.",
    labels: ["type"],
  });
  readonly #size = this.#registry.histogram({
    name: "pilot_xds_config_size_bytes",
    help: "Distribution of configuration sizes pushed to clients.",
    labels: ["type"],
    buckets: BYTES,
  });
  readonly #expired = this.#registry.counter({
    name: "pilot_xds_expired_nonce",
    help: "Total number of XDS requests with an expired nonce.",
    labels: ["type"],
  });
  readonly #debounce = this.#registry.histogram({
    name: "pilot_debounce_time",
    help: "Delay in seconds between the first config enters debouncing and the merged push request is pushed.",
    buckets: SECONDS,
  });
  readonly #init = this.#registry.histogram({
    name: "pilot_pushcontext_init_seconds",
    help: "Total time in seconds pilot takes to take a change over.",
    buckets: SECONDS,
  });
  readonly #convergence = this.#registry.histogram({
    name: "pilot_proxy_convergence_time",
    help: "Delay in seconds between config change and a proxy receiving all required configuration.",
    buckets: SECONDS,
  });
  readonly #pushTime = this.#registry.histogram({
    name: "pilot_xds_push_time",
    help: "Total time in seconds pilot takes to push a response, by type of resource.",
    labels: ["type"],
    buckets: SECONDS,
  });
  readonly #queueTime = this.#registry.histogram({
    name: "pilot_proxy_queue_time",
    help: "Time in seconds that a proxy is in the push queue before being dequeued.",
    buckets: SECONDS,
  });
  readonly #age = this.#registry.histogram({
    name: "lateen_xds_age_at_push_seconds",
    help: "Time in seconds from the oldest change in a response to when the response was written.",
    buckets: [0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10],
  });
  readonly #services = this.#registry.gauge({ name: "pilot_services", help: "Total services known to pilot." });
  readonly #virtualServices = this.#registry.gauge({
    name: "pilot_virt_services",
    help: "Total virtual services known to pilot.",
  });

  readonly #noIp = this.#registry.gauge({
    name: "pilot_no_ip",
    help: "Pods that run and have no address.",
  });
  readonly #duplicateDomains = this.#registry.gauge({
    name: "pilot_vservice_dup_domain",
    help: "Virtual services with duplicate domains.",
  });
  readonly #duplicateSubsets = this.#registry.gauge({
    name: "pilot_destrule_subsets",
    help: "Duplicate subsets across destination rules for same host",
  });
  readonly #duplicateClusters = this.#registry.gauge({
    name: "pilot_duplicate_envoy_clusters",
    help: "Duplicate envoy clusters caused by service entries with same hostname",
  });
  readonly #outboundConflicts = this.#registry.gauge({
    name: "pilot_conflict_outbound_listener_tcp_over_current_tcp",
    help: "Number of conflicting tcp listeners with current tcp listener.",
  });
  readonly #inboundConflicts = this.#registry.gauge({
    name: "pilot_conflict_inbound_listener",
    help: "Number of conflicting inbound listeners.",
  });
  readonly #refusing = new Map(
    REFUSABLE.map((typeUrl) => {
      const type = SHORT.get(typeUrl) ?? "";
      const help = `Proxies that refuse the ${type.toUpperCase()} resources they were sent last.`;
      return [typeUrl as string, this.#registry.gauge({ name: `pilot_xds_${type}_reject`, help })] as const;
    }),
  );

  readonly #queries = this.#registry.gauge({
    name: "lateen_compile_queries_total",
    help: "Times a query of the compiler ran.",
    labels: ["query"],
    maxSeries: 200,
  });
  readonly #cutOff = this.#registry.gauge({
    name: "lateen_compile_cut_off_total",
    help: "Times the result of a query was what it had been, so that nothing further had to run.",
  });
  readonly #results = this.#registry.gauge({
    name: "lateen_compile_results",
    help: "Results that the compiler holds.",
  });

  connected(version: string, amount: 1 | -1): void {
    this.#connected.add(amount, { version });
  }

  /** A response was written. */
  pushed(typeUrl: string, { tookMs, ageMs, bytes }: Pick<SentFacts, "tookMs" | "ageMs" | "bytes">): void {
    const type = SHORT.get(typeUrl) ?? "other";
    this.#pushes.add({ type });
    this.#size.observe(bytes, { type });
    this.#pushTime.observe(tookMs / 1000, { type });
    if (ageMs !== undefined) this.#age.observe(ageMs / 1000);
  }

  /** A proxy was pushed to, after so many milliseconds of waiting for that. */
  dequeued(ms: number): void {
    this.#queueTime.observe(ms / 1000);
  }

  rejected(typeUrl: string): void {
    this.#rejects.add({ type: SHORT.get(typeUrl) ?? "other" });
  }

  /** An answer to a response that is not the last one. */
  expired(typeUrl: string): void {
    this.#expired.add({ type: SHORT.get(typeUrl) ?? "other" });
  }

  internalError(): void {
    this.#internalErrors.add();
  }

  refused(): void {
    this.#refused.add();
  }

  update(type: "config" | "eds"): void {
    this.#updates.add({ type });
  }

  /** @param reasons each once; `debouncedMs` since the first change; `tookMs` of taking all of them over. */
  triggered(reasons: Iterable<PushReason>, debouncedMs: number, tookMs: number): void {
    for (const type of reasons) this.#triggers.add({ type });
    this.#debounce.observe(debouncedMs / 1000);
    this.#init.observe(tookMs / 1000);
  }

  converged(ms: number): void {
    this.#convergence.observe(ms / 1000);
  }

  exposition({ world, services, refusing, compiler }: ScrapeFacts): string {
    this.#services.set(world.services);
    this.#virtualServices.set(world.virtualServices);
    this.#noIp.set(world.podsWithoutIp);
    this.#duplicateDomains.set(world.duplicateDomains);
    this.#duplicateSubsets.set(world.duplicateSubsets);
    this.#duplicateClusters.set(services.duplicateClusters);
    this.#outboundConflicts.set(services.outboundTcpConflicts);
    this.#inboundConflicts.set(services.inboundConflicts);
    for (const [typeUrl, gauge] of this.#refusing) gauge.set(refusing.get(typeUrl) ?? 0);
    const { computed = {}, cutOff = 0, memos = 0 } = compiler ?? {};
    for (const [query, count] of Object.entries(computed)) this.#queries.set(count, { query });
    this.#cutOff.set(cutOff);
    this.#results.set(memos);
    return this.#registry.exposition();
  }
}
