import type { AdsSession } from "@lateen/ports";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { hasImplicitWildcard } from "../resource-types.ts";
import type { EncodedResource, StreamStatus } from "../types.ts";
import { type BuildResponse, type ServerStreamOptions, StreamCore } from "./stream-core.ts";
import type { TypeState } from "./type-state.ts";

/** A server stream as its owner sees it: the transport's face, plus news of changes and a look inside. */
export interface ServerStream<Request> extends AdsSession<Request> {
  /** The source may answer differently now; sends what changed, as far as the stream can take it. */
  push(): void;
  /** The source has a new revision, at which it answers this stream as before. */
  unchanged(): void;
  /**
   * To be called once, when the client had time to ask for all its types (a second is plenty). Until then, what it brought from an
   * earlier stream and is gone is not taken away before it asked for the types that may still refer to it.
   */
  introduced(): void;
  status(): StreamStatus;
}

/** Serves one delta (incremental) ADS stream. */
export function createDeltaSession(
  options: ServerStreamOptions<DeltaDiscoveryResponse>,
): ServerStream<DeltaDiscoveryRequest> {
  const core = new StreamCore(options, buildDelta);
  return {
    receive(request) {
      if (!core.begin(request.node, request.typeUrl)) return;
      const known = core.find(request.typeUrl);
      const state = known ?? core.add(request.typeUrl);
      if (state === undefined) return;
      if (request.responseNonce !== "") core.answer(state, request.responseNonce, refusalOf(request));
      const accepted = known === undefined ? first(core, state, request) : later(core, state, request);
      if (accepted) core.pump();
    },
    drained: () => core.drained(),
    closed: () => core.closedByPeer(),
    push: () => core.changed(),
    unchanged: () => core.unchanged(),
    introduced: () => core.introduced(),
    status: () => core.status(),
  };
}

type Core = StreamCore<DeltaDiscoveryResponse>;

function first(core: Core, state: TypeState, request: DeltaDiscoveryRequest): boolean {
  const asked = request.resourceNamesSubscribe;
  state.wildcard = asked.includes("*") || (asked.length === 0 && hasImplicitWildcard(state.typeUrl));
  if (
    !core.subscribe(
      state,
      asked.filter((name) => name !== "*"),
    )
  )
    return false;
  const claimed = Object.entries(request.initialResourceVersions);
  for (const [name, version] of claimed) {
    if (state.wildcard || state.names.has(name)) state.held.set(name, { kind: "claimed", version });
  }
  if (state.held.size > core.limits.names) {
    return core.end(8, `more than ${core.limits.names} initial versions for ${state.typeUrl}`);
  }
  // A fresh client waits for the answer even when there is nothing; one that names its versions has what it needs.
  state.owesAnswer = state.wildcard && claimed.length === 0;
  state.touch();
  core.share(state);
  return true;
}

function later(core: Core, state: TypeState, request: DeltaDiscoveryRequest): boolean {
  for (const name of request.resourceNamesUnsubscribe) {
    if (name === "*") {
      state.wildcard = false;
      for (const held of [...state.held.keys()]) if (!state.names.has(held)) state.held.delete(held);
      state.touch();
    } else if (state.names.has(name) || state.held.has(name)) {
      state.letGo(name);
      // Under a wildcard the client must hear whether it still gets the resource.
      if (state.wildcard) state.owe(name);
      else state.held.delete(name);
      state.touch();
    }
  }
  const names = request.resourceNamesSubscribe.filter((name) => name !== "*");
  if (names.length < request.resourceNamesSubscribe.length) {
    state.wildcard = true;
    state.touch();
  }
  if (!core.subscribe(state, names)) return false;
  if (names.length > 0) state.touch();
  // Asking again for what was answered means the client lost it (xDS protocol, "Subscribing to resources").
  for (const name of names) if (state.held.has(name)) state.owe(name);
  return true;
}

function refusalOf(request: DeltaDiscoveryRequest): string | undefined {
  return request.errorDetail === undefined ? undefined : request.errorDetail.message || "refused without a reason";
}

const buildDelta: BuildResponse<DeltaDiscoveryResponse> = (state, desired, context) => {
  const difference = state.difference(desired, context.unknown, context.mayRemove);
  if (difference === undefined) {
    return { upserted: [], removed: [], incomplete: false, encode: (...facts) => encode(state.typeUrl, [], [], facts) };
  }
  if (difference.heldBack.length > 0) state.waiting = true;
  const upserted = cut(difference.upserted, context.responseBytes);
  const incomplete = upserted.length < difference.upserted.length;
  // Removals go with the last part, after everything that was made.
  const removed = incomplete ? [] : difference.removed;
  if (incomplete) state.sentPart(desired, difference, upserted.length);
  else state.sentAll(desired, removed, { heldBack: difference.heldBack, unknown: context.unknown });
  return { upserted, removed, incomplete, encode: (...facts) => encode(state.typeUrl, upserted, removed, facts) };
};

function cut(resources: readonly EncodedResource[], bytes: number): readonly EncodedResource[] {
  let total = 0;
  for (const [index, resource] of resources.entries()) {
    total += resource.any.value.length + resource.name.length + 64;
    if (total > bytes && index > 0) return resources.slice(0, index);
  }
  return resources;
}

function encode(
  typeUrl: string,
  upserted: readonly EncodedResource[],
  removed: readonly string[],
  [nonce, version, identifier]: readonly [string, string, string],
): DeltaDiscoveryResponse {
  return {
    systemVersionInfo: version,
    typeUrl,
    nonce,
    resources: upserted.map((one) => ({ name: one.name, version: one.version, resource: one.any, aliases: [] })),
    removedResources: [...removed],
    removedResourceNames: [],
    controlPlane: { identifier },
  };
}
