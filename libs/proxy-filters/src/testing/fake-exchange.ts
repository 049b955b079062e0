import type {
  BodyTransform,
  BodyTransformSink,
  ClusterSpec,
  CollectedBody,
  ConnectionLogFacts,
  EndpointSpec,
  Exchange,
  FilterContext,
  HeadEdits,
  LocalReply,
  SharedCell,
  SideOutcome,
  SideRequest,
} from "@lateen/proxy";
import { type HeadInput, hashName, headFrom, type PeerFacts } from "@lateen/traffic";

/** Records edits as `set a=b`, `remove a`. */
class RecordedEdits implements HeadEdits {
  readonly log: string[] = [];
  set(name: string, value: string): void {
    this.log.push(`set ${name}=${value}`);
  }
  publish(name: string, value: string): boolean {
    this.log.push(`publish ${name}=${value}`);
    return true;
  }
  append(name: string, value: string): void {
    this.log.push(`append ${name}=${value}`);
  }
  remove(name: string): void {
    this.log.push(`remove ${name}`);
  }
  /** What `textOf` finds before any edit. */
  known: Readonly<Record<string, string>> = {};
  textOf(name: string): string | undefined {
    for (const line of this.log.toReversed()) {
      if (line === `remove ${name}`) return undefined;
      const [, value] = line.match(`^(?:set|append) ${name}=(.*)$`) ?? [];
      if (value !== undefined) return value;
    }
    return this.known[name];
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
  /** What access logs read, as far as filters ask for it. */
  get facts(): ConnectionLogFacts {
    const { request, summary } = this;
    return {
      info: this.info,
      direction: this.direction,
      startTimeMs: this.startTimeMs,
      durationMs: summary.durationMs,
      bytesReceived: summary.requestBytes,
      bytesSent: summary.responseBytes,
      flags: summary.responseFlags,
      terminationDetails: "",
      upstreamCluster: summary.cluster?.name ?? "",
      upstreamHost: "",
      upstreamLocalAddress: "",
      upstreamFailure: "",
      source: this.peerWorkload,
      destination: summary.endpoint?.workload,
      peerPrincipal: this.peer.principal ?? "",
      destinationService: "",
      request: {
        protocol: "HTTP/1.1",
        status: summary.responseCode,
        details: summary.responseDetails,
        routeName: "",
        requestId: this.requestId,
        remoteAddress: this.peer.remoteAddress,
        attempts: 1,
        requestDurationMs: 0,
        responseDurationMs: 0,
        requestHeader: (name) => {
          if (name === ":path") return request.text(request.pathStart, request.pathEnd);
          const index = request.find(new TextEncoder().encode(name), hashName(name));
          return index < 0
            ? undefined
            : request.text(request.offsets[index * 4 + 2] ?? 0, request.offsets[index * 4 + 3] ?? 0);
        },
        responseHeader: () => undefined,
        responseTrailer: () => undefined,
      },
    };
  }
  readonly configs: Record<string, unknown> = {};
  readonly flags: string[] = [];
  readonly replies: LocalReply[] = [];
  readonly timers: { readonly ms: number; readonly run: () => void }[] = [];
  resumed = 0;
  readonly #states = new Map<object, unknown>();

  constructor(request: HeadInput = {}) {
    this.request = headFrom(request);
  }

  route: Exchange["route"] = undefined;
  requestId = "4d0f3a52-6c1b-4a6e-9f6e-1f2f4a9f0001";
  scheme: Exchange["scheme"] = "http";
  protocol = "HTTP/1.1";
  responseLength: Exchange["responseLength"] = "unknown";
  /** What `readBody` answers with. */
  body: CollectedBody = { bytes: Buffer.alloc(0), complete: true };
  /** Limits that were asked for. */
  readonly bodyLimits: number[] = [];
  requestLength: number | undefined = undefined;
  rematches = 0;
  transform: BodyTransform | undefined = undefined;
  /** What the transform gave out. */
  readonly transformed: Buffer[] = [];
  transformEnded: Promise<void> | undefined = undefined;
  readonly dynamicMetadata: Record<string, Readonly<Record<string, unknown>>> = {};

  readBody(maxBytes: number, done: (body: CollectedBody) => void): void {
    this.bodyLimits.push(maxBytes);
    done(this.body);
  }
  setRequestLength(bytes: number): void {
    this.requestLength = bytes;
  }
  transformResponse(make: (sink: BodyTransformSink) => BodyTransform): void {
    this.transformEnded = new Promise((resolve, reject) => {
      this.transform = make({
        data: (bytes) => this.transformed.push(bytes),
        drain: () => {},
        end: resolve,
        fail: reject,
      });
    });
  }
  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined {
    return this.dynamicMetadata[namespace];
  }
  setMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void {
    this.dynamicMetadata[namespace] = { ...this.dynamicMetadata[namespace], ...values };
    this.peer = { ...this.peer, metadata: this.dynamicMetadata };
  }
  rematch(): void {
    this.rematches++;
  }

  connection: object = {};
  startTimeMs = 1_800_000_000_123;
  info: Exchange["info"] = {
    sourceAddress: "10.0.0.1",
    sourcePort: 41_234,
    destinationAddress: "10.0.0.2",
    destinationPort: 9080,
    serverName: "",
    secure: false,
    peer: undefined,
  };
  readonly resolve = ({ name, argument }: { readonly name: string; readonly argument: string }) =>
    argument === "" ? `<${name}>` : `<${name} ${argument}>`;
  /** Of virtual hosts, for `routeConfigs`. */
  readonly hostConfigs: Record<string, unknown> = {};
  routeConfigs(filter: string): readonly unknown[] {
    return [this.configs[filter], this.hostConfigs[filter]].filter((config) => config !== undefined);
  }
  routeConfig(filter: string): unknown {
    return this.configs[filter];
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

/** A call a filter made, to be answered by the test. */
export interface FakeCall {
  readonly request: SideRequest;
  answer(outcome: SideOutcome): void;
  cancelled: boolean;
}

export function fakeContext(
  direction: FilterContext["direction"] = "inbound",
  random = () => 0.5,
  configName = "the filter",
) {
  const shared = new Map<string, unknown>();
  const stats = new FakeStats();
  const calls: FakeCall[] = [];
  const time = { ms: 1_800_000_000_000 };
  const state = { draining: false };
  const cells = new Map<string, SharedCell>();
  const health: Record<string, { healthy: number; total: number }> = {};
  const timers = new Set<{ readonly due: number; readonly callback: () => void }>();
  /** Lets time pass and what is due happen. */
  const advance = (ms: number): void => {
    time.ms += ms;
    for (const timer of [...timers].filter(({ due }) => due <= time.ms)) {
      timers.delete(timer);
      timer.callback();
    }
  };
  const context: FilterContext = {
    configName,
    now: () => time.ms,
    wallNow: () => time.ms,
    draining: () => state.draining,
    cell: (identity) => {
      if (!cells.has(identity)) {
        let value = 0;
        cells.set(identity, {
          load: () => value,
          exchange(expected, next) {
            const before = value;
            if (before === expected) value = next;
            return before;
          },
        });
      }
      return cells.get(identity) as SharedCell;
    },
    after(ms, callback) {
      const timer = { due: time.ms + ms, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    requireHost: () => undefined,
    clusterHealth: (name) => health[name],
    call(request, done) {
      const call: FakeCall = { request, answer: (outcome) => !call.cancelled && done(outcome), cancelled: false };
      calls.push(call);
      return {
        cancel: () => {
          call.cancelled = true;
        },
      };
    },
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
  return { context, stats, calls, time, advance, health, state };
}

/** The parts of a cluster that filters read. */
export function fakeCluster(name: string, service?: ClusterSpec["destinationService"]): ClusterSpec {
  return { name, destinationService: service } as ClusterSpec;
}

/** The parts of an endpoint that filters read. */
export function fakeEndpoint(workload: EndpointSpec["workload"]): EndpointSpec {
  return { workload } as EndpointSpec;
}
