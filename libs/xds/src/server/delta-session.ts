import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  Resource,
} from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { type ServerStream, serverStream } from "./server-stream.ts";
import { type BuildResponse, type ServerStreamOptions, StreamCore } from "./stream-core.ts";
import type { TypeState } from "./type-state.ts";

/** Serves one delta (incremental) ADS stream. */
export function createDeltaSession(
  options: ServerStreamOptions<DeltaDiscoveryResponse>,
): ServerStream<DeltaDiscoveryRequest> {
  const core = new StreamCore(options, buildDelta);
  return serverStream(core, (request) => {
    if (!core.begin(request.node, request.typeUrl)) return;
    const known = core.find(request.typeUrl);
    const state = known ?? core.add(request.typeUrl);
    if (state === undefined) return;
    if (request.responseNonce !== "") core.answer(state, request.responseNonce, refusalOf(request));
    const accepted = known === undefined ? first(core, state, request) : later(core, state, request);
    if (accepted) core.pump();
  });
}

type Core = StreamCore<DeltaDiscoveryResponse>;

function first(core: Core, state: TypeState, request: DeltaDiscoveryRequest): boolean {
  const asked = request.resourceNamesSubscribe;
  if (!core.subscribeFirst(state, asked)) return false;
  const claimed = new Map<string, string>();
  for (const [name, version] of Object.entries(request.initialResourceVersions)) {
    if (state.wildcard || state.names.has(name)) claimed.set(name, version);
  }
  if (claimed.size > core.limits.names) {
    return core.end(8, `more than ${core.limits.names} initial versions for ${state.typeUrl}`);
  }
  core.claim(state, claimed);
  // A fresh client waits for the answer even when there is nothing; one that names its versions has what it needs.
  state.owesAnswer = state.wildcard && Object.keys(request.initialResourceVersions).length === 0;
  state.touch();
  return true;
}

function later(core: Core, state: TypeState, request: DeltaDiscoveryRequest): boolean {
  const gone = new Set(request.resourceNamesUnsubscribe);
  if (gone.delete("*")) {
    state.wildcard = false;
    for (const held of [...state.held.keys()]) if (!state.names.has(held)) state.held.delete(held);
    state.touch();
  }
  const known = [...gone].filter((name) => state.names.has(name) || state.held.has(name));
  if (known.length > 0) {
    state.letGo(known);
    // Under a wildcard the client must hear whether it still gets the resource.
    for (const name of known)
      if (state.wildcard) state.owe(name);
      else state.held.delete(name);
    state.touch();
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
  const { typeUrl } = state;
  const difference = state.difference(desired, context);
  if (difference === undefined) {
    return { upserted: [], removed: [], incomplete: false, encode: (...facts) => encode(typeUrl, [], [], facts) };
  }
  if (difference.heldBack.length > 0) state.waiting = true;
  const upserted = difference.parts[0] ?? [];
  const incomplete = difference.parts.length > 1;
  // Removals go with the last part, after everything that was made.
  const removed = incomplete ? [] : difference.removed;
  if (incomplete) state.sentPart(desired, difference);
  else state.sentAll(desired, removed, { heldBack: difference.heldBack, unknown: context.unknown });
  const resources = context.messages(upserted);
  return { upserted, removed, incomplete, encode: (...facts) => encode(typeUrl, resources, removed, facts) };
};

function encode(
  typeUrl: string,
  resources: Resource[],
  removed: readonly string[],
  [nonce, version, identifier]: readonly [string, string, string],
): DeltaDiscoveryResponse {
  return {
    systemVersionInfo: version,
    typeUrl,
    nonce,
    resources,
    removedResources: [...removed],
    removedResourceNames: [],
    controlPlane: { identifier },
  };
}
