import type { Clock } from "@lateen/kernel";
import type { AdsTransport } from "@lateen/ports";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type { Resource } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { hasImplicitWildcard, pushOrder, removedAfter, sentAfter, xdsTypes } from "../resource-types.ts";
import { grpcStatus } from "../status-codes.ts";
import type {
  AdmitStream,
  EncodedResource,
  StreamLimits,
  StreamObserver,
  StreamProgress,
  StreamSource,
  StreamStatus,
  TypeStatus,
} from "../types.ts";
import { defaultStreamLimits, RequestBudget } from "./limits.ts";
import { SharedWork } from "./shared-work.ts";
import { type DifferenceContext, TypeState } from "./type-state.ts";

/** What a server stream needs from its owner. */
export interface ServerStreamOptions<Response> {
  readonly transport: AdsTransport<Response>;
  readonly admit: AdmitStream;
  readonly clock: Clock;
  readonly observer?: StreamObserver;
  readonly limits?: Partial<StreamLimits>;
  /** Comparisons shared with the other streams of the same owner. Default: of this stream alone. */
  readonly work?: SharedWork;
  /**
   * Asked whenever the source has a new revision: monotonic time of the oldest change that came since it was last asked. Default: the
   * time of asking.
   */
  readonly changedSince?: () => number | undefined;
  /** Sent as `control_plane.identifier`. Default `lateen`. */
  readonly identifier?: string;
}

/** One response of a protocol variant: what changes for the client, and the message that says so. */
export interface BuiltResponse<Response> {
  readonly upserted: readonly EncodedResource[];
  readonly removed: readonly string[];
  /** All resources in the message; default `upserted`. */
  readonly listed?: readonly EncodedResource[];
  /** More of the same type has to follow. */
  readonly incomplete: boolean;
  encode(nonce: string, version: string, identifier: string): Response;
}

/** The difference between the state-of-the-world and the delta protocol on the sending side. */
export type BuildResponse<Response> = (
  state: TypeState,
  desired: ReadonlyMap<string, EncodedResource>,
  context: BuildContext,
) => BuiltResponse<Response>;

export interface BuildContext extends DifferenceContext {
  /** The resources in the words of the delta protocol, shared with other streams. */
  messages(list: readonly EncodedResource[]): Resource[];
}

/**
 * What both protocol variants share: admission, bounds, one response in flight per type, order of types, removals after their
 * users, merging while the transport is full. Knows no sockets and no timers.
 */
export class StreamCore<Response> {
  readonly limits: StreamLimits;
  readonly #options: ServerStreamOptions<Response>;
  readonly #build: BuildResponse<Response>;
  readonly #budget: RequestBudget;
  readonly #work: SharedWork;
  readonly #types = new Map<string, TypeState>();
  #ordered: readonly TypeState[] = [];
  #source: StreamSource | undefined;
  #writable = true;
  #closed = false;
  #responses = 0;
  #revision = 0;
  #settled: number | undefined;
  #wasClean = false;
  /** The client may not have asked for all its types yet. */
  #introducing = true;

  constructor(options: ServerStreamOptions<Response>, build: BuildResponse<Response>) {
    this.#options = options;
    this.#build = build;
    this.#work = options.work ?? new SharedWork();
    this.limits = { ...defaultStreamLimits, ...options.limits };
    this.#budget = new RequestBudget(options.clock, this.limits);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Checks a request's right to be looked at; false when the stream was ended instead. */
  begin(node: Node | undefined, typeUrl: string): boolean {
    if (this.#closed) return false;
    if (!this.#budget.take()) return this.end(grpcStatus.resourceExhausted, "too many discovery requests");
    if (this.#source === undefined) {
      if (node === undefined) return this.end(grpcStatus.invalidArgument, "the first request must carry the node");
      const admitted = this.#options.admit(node);
      if (!admitted.ok) return this.end(admitted.error.code, admitted.error.message);
      this.#source = admitted.value;
      this.#revision = admitted.value.revision();
    }
    if (typeUrl === "") return this.end(grpcStatus.invalidArgument, "type_url is missing");
    return true;
  }

  /** The state of a type if the client asked for it before. */
  find(typeUrl: string): TypeState | undefined {
    return this.#types.get(typeUrl);
  }

  /** Adds a type; undefined when that would exceed the bound (the stream is ended). */
  add(typeUrl: string): TypeState | undefined {
    if (this.#types.size >= this.limits.types) {
      this.end(grpcStatus.resourceExhausted, `more than ${this.limits.types} resource types on one stream`);
      return undefined;
    }
    const state = new TypeState(typeUrl, this.#work);
    this.#types.set(typeUrl, state);
    this.#ordered = [...this.#types.values()].sort((a, b) => pushOrder(a.typeUrl) - pushOrder(b.typeUrl));
    return state;
  }

  /** The names of a type's first request: `*`, or none where the protocol takes that for all, is a wildcard. False when it ended. */
  subscribeFirst(state: TypeState, asked: readonly string[]): boolean {
    state.wildcard = asked.includes("*") || (asked.length === 0 && hasImplicitWildcard(state.typeUrl));
    return this.subscribe(
      state,
      asked.filter((name) => name !== "*"),
    );
  }

  /** Adds names to a subscription within the bounds; false when the stream was ended. */
  subscribe(state: TypeState, names: readonly string[]): boolean {
    for (const name of names) {
      if (name.length > this.limits.nameLength) {
        return this.end(
          grpcStatus.resourceExhausted,
          `a resource name is longer than ${this.limits.nameLength} characters`,
        );
      }
    }
    state.subscribe(names);
    if (state.names.size > this.limits.names) {
      return this.end(
        grpcStatus.resourceExhausted,
        `more than ${this.limits.names} names subscribed for ${state.typeUrl}`,
      );
    }
    return true;
  }

  /** The client holds these versions of an earlier stream. */
  claim(state: TypeState, versions: ReadonlyMap<string, string>): void {
    state.claim(versions, this.#closed ? undefined : this.#source);
  }

  /** An ACK or NACK. False when the nonce is not that of the response in flight. */
  answer(state: TypeState, nonce: string, refusal: string | undefined): boolean {
    const inFlight = state.inFlight;
    if (inFlight === undefined || inFlight.nonce !== nonce) {
      if (nonce !== "") this.#options.observer?.expired?.(state.typeUrl);
      return false;
    }
    state.answered(inFlight);
    if (refusal === undefined) {
      state.acknowledge(inFlight);
      this.#options.observer?.acked?.(state.typeUrl, nonce);
    } else {
      const record = state.refuse(inFlight, refusal);
      this.#options.observer?.nacked?.(record);
    }
    return true;
  }

  /** The source may answer differently now. */
  changed(): void {
    if (this.#source === undefined || this.#closed) return;
    this.#notice(this.#source);
    this.pump();
  }

  /**
   * The source has a new revision whose answers for this stream are what they were. Does no work, unless something could not be
   * answered before.
   */
  unchanged(): void {
    const source = this.#source;
    if (source === undefined || this.#closed) return;
    if (this.#ordered.some((state) => state.uncertain)) {
      this.changed();
      return;
    }
    this.#revision = source.revision();
    this.#noteSettled();
  }

  /** The client had its time to ask for all its types. */
  introduced(): void {
    this.#introducing = false;
    this.pump();
  }

  drained(): void {
    this.#writable = true;
    this.pump();
  }

  closedByPeer(): void {
    this.#closed = true;
  }

  /** Ends the stream. Always false, so that callers can return it. */
  end(code: number, message: string): false {
    if (!this.#closed) {
      this.#closed = true;
      this.#options.transport.close(code, message);
    }
    return false;
  }

  /** Sends what can be sent now. */
  pump(): void {
    const source = this.#source;
    if (source === undefined) return;
    // All types are answered at one revision, or a route would refer to a cluster that was not looked at yet.
    if (source.revision() !== this.#revision) this.#notice(source);
    let again = true;
    while (again && !this.#closed) {
      again = false;
      for (const state of this.#ordered) {
        if (!this.#writable || this.#options.transport.ready?.() === false) return;
        if (state.waiting && state.inFlight === undefined && this.#mayRemove(state)) {
          state.waiting = false;
          state.touch();
        }
        if (this.#isDue(state)) {
          this.#evaluate(state, source);
          again = true;
        }
        // What refers to this type's resources must not overtake the rest of them.
        if (state.incomplete && (state.inFlight !== undefined || state.dirty)) break;
      }
    }
    this.#noteSettled();
  }

  status(): StreamStatus {
    const types: Record<string, TypeStatus> = {};
    for (const state of this.#ordered) types[state.typeUrl] = state.status();
    return { types, settledRevision: this.#settled, clean: this.#clean };
  }

  /** The part of the status that is asked for often. */
  progress(): StreamProgress {
    return {
      clean: this.#clean,
      idle: this.#ordered.every((state) => state.idle),
      settledRevision: this.#settled,
      asked: (typeUrl) => this.#types.has(typeUrl),
    };
  }

  get #clean(): boolean {
    return this.#ordered.length > 0 && this.#ordered.every((state) => state.clean);
  }

  #notice(source: StreamSource): void {
    this.#revision = source.revision();
    const since = this.#options.changedSince?.() ?? this.#options.clock.monotonic();
    for (const state of this.#ordered) {
      state.changedSince = Math.min(state.changedSince ?? since, since);
      state.dirty = true;
      state.stalled = false;
    }
  }

  #isDue(state: TypeState): boolean {
    if (state.inFlight !== undefined || state.stalled || !(state.dirty || state.owesAnswer)) return false;
    return sentAfter(state.typeUrl).every((typeUrl) => this.#types.get(typeUrl)?.arriving !== true);
  }

  #mayRemove(state: TypeState): boolean {
    return removedAfter(state.typeUrl).every((typeUrl) => {
      const user = this.#types.get(typeUrl);
      if (user !== undefined) return user.clean;
      // A client that reconnects asks for its types one after the other: what it has counts although not asked for yet.
      return !(this.#introducing && state.hasClaims);
    });
  }

  #evaluate(state: TypeState, source: StreamSource): void {
    const began = this.#options.clock.monotonic();
    state.incomplete = false;
    const desired = state.desired(source);
    if (desired === undefined) {
      state.stalled = true;
      return;
    }
    const owed = state.owesAnswer;
    state.dirty = false;
    state.owesAnswer = false;
    const built = this.#build(state, desired, {
      mayRemove: this.#mayRemove(state),
      unknown: source.unknown?.(state.typeUrl),
      responseBytes: this.limits.responseBytes,
      messages: (list) => this.#work.messages(list),
    });
    if (built.upserted.length === 0 && built.removed.length === 0 && !owed) {
      state.evaluated(undefined);
      state.changedSince = undefined;
      return;
    }
    const revision = source.revision();
    const version = source.versionInfo?.() ?? String(revision);
    const nonce = `${revision}.${++this.#responses}`;
    const { upserted, removed, listed = upserted } = built;
    state.inFlight = { nonce, revision, upserted, removed, listed };
    state.sentNonce = nonce;
    state.incomplete = built.incomplete;
    state.evaluated(state.inFlight);
    if (built.incomplete) state.touch();
    this.#writable = this.#options.transport.send(built.encode(nonce, version, this.#options.identifier ?? "lateen"));
    this.#noteSent(state, began);
    this.#afterSend(state, built.upserted);
  }

  #noteSent(state: TypeState, began: number): void {
    const { inFlight, changedSince } = state;
    if (!state.dirty) state.changedSince = undefined;
    if (inFlight === undefined) return;
    const now = this.#options.clock.monotonic();
    this.#options.observer?.sent?.(state.typeUrl, {
      nonce: inFlight.nonce,
      resources: inFlight.upserted.length,
      removed: inFlight.removed.length,
      bytes: inFlight.listed.reduce((sum, { any }) => sum + any.value.length, 0),
      tookMs: now - began,
      ageMs: changedSince === undefined ? undefined : now - changedSince,
    });
  }

  /** A client that warms a changed cluster waits for its endpoints, and may not ask for them again by itself (delta). */
  #afterSend(state: TypeState, upserted: readonly EncodedResource[]): void {
    const dependent = WARMED_BY[state.typeUrl];
    const other = dependent === undefined ? undefined : this.#types.get(dependent);
    if (other === undefined || other.held.empty) return;
    for (const { name } of upserted) if (other.names.has(name) && other.held.has(name)) other.owe(name);
  }

  /** Tells of a revision that was reached, and of one that is reached again after the client had asked for more. */
  #noteSettled(): void {
    const wasClean = this.#wasClean;
    this.#wasClean = this.#clean;
    if (this.#closed || !this.#wasClean) return;
    if (wasClean && this.#settled !== undefined && this.#settled >= this.#revision) return;
    this.#settled = this.#revision;
    this.#options.observer?.settled?.(this.#revision);
  }
}

/** Clusters and their load assignments share their names in our configuration. */
const WARMED_BY: Readonly<Record<string, string>> = {
  [xdsTypes.cluster]: xdsTypes.endpoint,
};
