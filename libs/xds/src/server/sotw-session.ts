import type { DiscoveryRequest, DiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { isFullState } from "../resource-types.ts";
import type { EncodedResource } from "../types.ts";
import { type ServerStream, serverStream } from "./server-stream.ts";
import { type BuildResponse, type BuiltResponse, type ServerStreamOptions, StreamCore } from "./stream-core.ts";
import type { TypeState } from "./type-state.ts";

/** Serves one state-of-the-world ADS stream. */
export function createSotwSession(options: ServerStreamOptions<DiscoveryResponse>): ServerStream<DiscoveryRequest> {
  const core = new StreamCore(options, buildSotw);
  return serverStream(core, (request) => {
    if (!core.begin(request.node, request.typeUrl)) return;
    const known = core.find(request.typeUrl);
    const accepted = known === undefined ? first(core, request) : later(core, known, request);
    if (accepted) core.pump();
  });
}

type Core = StreamCore<DiscoveryResponse>;

/** The first request of a type on this stream counts whatever nonce it carries: nonces do not outlive a stream. */
function first(core: Core, request: DiscoveryRequest): boolean {
  const state = core.add(request.typeUrl);
  if (state === undefined) return false;
  if (!core.subscribeFirst(state, request.resourceNames)) return false;
  state.owesAnswer = state.wildcard || state.names.size > 0;
  state.touch();
  return true;
}

function later(core: Core, state: TypeState, request: DiscoveryRequest): boolean {
  if (request.responseNonce !== "" && request.responseNonce !== state.sentNonce) return false;
  const refusal =
    request.errorDetail === undefined ? undefined : request.errorDetail.message || "refused without a reason";
  const wasAnswer = core.answer(state, request.responseNonce, refusal);
  const change = resubscribe(core, state, request.resourceNames);
  if (change === "ended") return false;
  // One answer per response is an ACK; the same nonce once more is a question: the client warms something and waits.
  const asksAgain = !wasAnswer && refusal === undefined && state.inFlight === undefined && change === "same";
  if (asksAgain) for (const name of state.held.keys()) state.owe(name);
  if (change === "grown" || asksAgain) {
    state.owesAnswer = true;
    state.touch();
  }
  return true;
}

/** Takes over the complete list of names. */
function resubscribe(core: Core, state: TypeState, asked: readonly string[]): "same" | "grown" | "shrunk" | "ended" {
  const names = asked.filter((name) => name !== "*");
  // Once a client has named anything, an empty list is a list; before that it stays the wildcard.
  const wildcard = asked.includes("*") || (asked.length === 0 && state.wildcard && state.names.size === 0);
  const added = names.filter((name) => !state.names.has(name));
  const wanted = new Set(names);
  const dropped = [...state.names].filter((name) => !wanted.has(name));
  if (added.length === 0 && dropped.length === 0 && wildcard === state.wildcard) return "same";
  const grown = added.length > 0 || (wildcard && !state.wildcard);
  state.wildcard = wildcard;
  state.letGo(dropped);
  if (!wildcard) for (const name of [...state.held.keys()]) if (!wanted.has(name)) state.held.delete(name);
  if (!core.subscribe(state, added)) return "ended";
  state.touch();
  return grown ? "grown" : "shrunk";
}

const buildSotw: BuildResponse<DiscoveryResponse> = (state, desired, context) => {
  // A state of the world is one message, however large.
  const difference = state.difference(desired, { ...context, responseBytes: Number.POSITIVE_INFINITY });
  if (difference === undefined) {
    // Nothing changed; an answer that is owed all the same lists everything.
    return { ...answer(state, isFullState(state.typeUrl) ? [...desired.values()] : [], []), upserted: [] };
  }
  // Absence cannot be told for types that list only what changed; the client drops such a resource with what refers to it.
  if (!isFullState(state.typeUrl)) {
    state.sentAll(desired, difference.removed, { heldBack: difference.heldBack, unknown: context.unknown });
    return answer(state, difference.parts.flat(), []);
  }
  if (difference.heldBack.length > 0) state.waiting = true;
  const unsaid = [...(context.unknown ?? [])].filter((name) => !desired.has(name));
  const listed = [...desired.values(), ...keptBack(state, [...difference.heldBack, ...unsaid])];
  state.sentAll(desired, difference.removed, { heldBack: difference.heldBack, unknown: context.unknown });
  return { ...answer(state, listed, difference.removed), upserted: difference.parts.flat() };
};

/** Bodies of resources that are gone but may still be referred to, or of which it cannot be said: they stay listed for now. */
function keptBack(state: TypeState, names: readonly string[]): readonly EncodedResource[] {
  const kept: EncodedResource[] = [];
  for (const name of names) {
    const held = state.held.get(name);
    if (held?.kind === "resource") kept.push(held.resource);
  }
  return kept;
}

function answer(
  state: TypeState,
  listed: readonly EncodedResource[],
  removed: readonly string[],
): BuiltResponse<DiscoveryResponse> {
  return {
    upserted: listed,
    removed,
    listed,
    incomplete: false,
    encode: (nonce: string, version: string, identifier: string): DiscoveryResponse => ({
      versionInfo: version,
      typeUrl: state.typeUrl,
      nonce,
      resources: listed.map(({ any }) => any),
      canary: false,
      controlPlane: { identifier },
    }),
  };
}
