import type { ClusterSpec, EndpointSpec, Exchange, FilterContext, HeadEdits, LocalReply } from "@lateen/proxy";
import { type HeadInput, headFrom, type PeerFacts } from "@lateen/traffic";

/** Records edits as `set a=b`, `remove a`. */
class RecordedEdits implements HeadEdits {
  readonly log: string[] = [];
  set(name: string, value: string): void {
    this.log.push(`set ${name}=${value}`);
  }
  append(name: string, value: string): void {
    this.log.push(`append ${name}=${value}`);
  }
  remove(name: string): void {
    this.log.push(`remove ${name}`);
  }
  path(value: string): void {
    this.log.push(`path ${value}`);
  }
  authority(value: string): void {
    this.log.push(`authority ${value}`);
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** An exchange that remembers what filters did to it. */
export class FakeExchange implements Exchange {
  readonly request;
  response: Exchange["response"];
  readonly requestEdits = new RecordedEdits();
  readonly responseEdits = new RecordedEdits();
  peer: PeerFacts = {
    principal: undefined,
    sourceAddress: "10.0.0.1",
    remoteAddress: "10.0.0.1",
    destinationAddress: "10.0.0.2",
    destinationPort: 9080,
    serverName: "",
  };
  direction: Exchange["direction"] = "inbound";
  peerWorkload: Exchange["peerWorkload"] = undefined;
  readonly summary: Mutable<Exchange["summary"]> = {
    responseCode: 200,
    responseFlags: "",
    responseDetails: "",
    durationMs: 12,
    requestBytes: 100,
    responseBytes: 2000,
    grpcStatus: -1,
    cluster: undefined,
    endpoint: undefined,
    upstreamMutualTls: false,
    upstreamPrincipal: undefined,
  };
  readonly routeConfigs: Record<string, unknown> = {};
  readonly flags: string[] = [];
  readonly replies: LocalReply[] = [];
  readonly timers: { readonly ms: number; readonly run: () => void }[] = [];
  resumed = 0;
  readonly #states = new Map<object, unknown>();

  constructor(request: HeadInput = {}) {
    this.request = headFrom(request);
  }

  routeConfig(filter: string): unknown {
    return this.routeConfigs[filter];
  }
  state(filter: object): unknown {
    return this.#states.get(filter);
  }
  setState(filter: object, value: unknown): void {
    this.#states.set(filter, value);
  }
  resume(): void {
    this.resumed++;
  }
  localReply(reply: LocalReply): void {
    this.replies.push(reply);
  }
  after(ms: number, run: () => void): void {
    this.timers.push({ ms, run });
  }
  addFlag(flag: string): void {
    this.flags.push(flag);
  }
}

/** Counters by name and labels. */
export class FakeStats {
  readonly series: { readonly name: string; readonly labels: Readonly<Record<string, string>>; values: number[] }[] =
    [];

  counter(name: string, labels: Readonly<Record<string, string>>): number {
    return this.series.push({ name, labels, values: [] }) - 1;
  }
  histogram(name: string, labels: Readonly<Record<string, string>>): number {
    return this.counter(name, labels);
  }
  add(slot: number, amount: number): void {
    this.series[slot]?.values.push(amount);
  }
  observe(slot: number, value: number): void {
    this.add(slot, value);
  }
  named(name: string) {
    return this.series.filter((series) => series.name === name);
  }
  total(name: string): number {
    return this.named(name).reduce((sum, { values }) => sum + values.reduce((a, b) => a + b, 0), 0);
  }
}

export function fakeContext(direction: FilterContext["direction"] = "inbound", random = () => 0.5) {
  const shared = new Map<string, unknown>();
  const stats = new FakeStats();
  const context: FilterContext = {
    direction,
    random,
    stats,
    self: {
      workload: "productpage-v1",
      namespace: "shop",
      app: "productpage",
      version: "v1",
      canonicalService: "productpage",
      canonicalRevision: "v1",
      cluster: "local",
      principal: "spiffe://cluster.local/ns/shop/sa/productpage",
      nodeId: "sidecar~127.64.0.2~productpage-v1-1.shop~shop.svc.cluster.local",
    },
    shared<T>(name: string, make: () => T): T {
      if (!shared.has(name)) shared.set(name, make());
      return shared.get(name) as T;
    },
  };
  return { context, stats };
}

/** The parts of a cluster that filters read. */
export function fakeCluster(name: string, service?: ClusterSpec["destinationService"]): ClusterSpec {
  return { name, destinationService: service } as ClusterSpec;
}

/** The parts of an endpoint that filters read. */
export function fakeEndpoint(workload: EndpointSpec["workload"]): EndpointSpec {
  return { workload } as EndpointSpec;
}
