import type { Exchange, FilterContext, HeadEdits, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { type HeadView, hashName } from "@lateen/traffic";
import { PeerClaims } from "./claims.ts";
import { PEER_METADATA, type PeerMetadataConfig } from "./config.ts";
import { encodeFacts, type PeerClaim } from "./facts.ts";

const METADATA = "x-envoy-peer-metadata";
const ID = "x-envoy-peer-metadata-id";
const METADATA_BYTES = new TextEncoder().encode(METADATA);
const ID_BYTES = new TextEncoder().encode(ID);
const METADATA_HASH = hashName(METADATA);
const ID_HASH = hashName(ID);

/**
 * Tells workloads apart for metrics: clients add who they are to requests for the mesh, servers read and strip it. A claim counts
 * only on a connection whose certificate is of the claimed namespace; on others the pair is stripped and nothing is learned.
 */
export const peerMetadataRuntime: HttpFilterRuntime<PeerMetadataConfig> = {
  name: PEER_METADATA,
  create(config: PeerMetadataConfig, context: FilterContext): HttpFilter {
    const shared = context.shared(PEER_METADATA, () => ({
      claims: new PeerClaims(),
      metadata: encodeFacts(context.self),
      id: context.self.nodeId,
    }));
    return new PeerMetadataFilter(config, shared);
  },
};

interface Shared {
  readonly claims: PeerClaims;
  /** Our own pair. */
  readonly metadata: string;
  readonly id: string;
}

/** What is remembered of an exchange: that the client waits for an answer, or that our pair was added. */
const ANSWER = "answer";
const TOLD = "told";

class PeerMetadataFilter implements HttpFilter {
  readonly #config: PeerMetadataConfig;
  readonly #shared: Shared;

  constructor(config: PeerMetadataConfig, shared: Shared) {
    this.#config = config;
    this.#shared = shared;
  }

  onRequestHead(exchange: Exchange): Verdict {
    const head = exchange.request;
    const metadata = head.find(METADATA_BYTES, METADATA_HASH);
    const id = head.find(ID_BYTES, ID_HASH);
    if (metadata < 0 && id < 0) return "continue";
    if (this.#config.readRequest && metadata >= 0 && id >= 0) this.#read(exchange, id, metadata);
    // Also what an application sends itself: it must not speak for its proxy.
    strip(exchange.requestEdits);
    return "continue";
  }

  #read(exchange: Exchange, id: number, metadata: number): void {
    const { principal } = exchange.peer;
    if (principal === undefined) return;
    const claim = this.#shared.claims.find(exchange.request, id, metadata);
    if (claim === undefined || !mayClaim(principal, claim)) return;
    exchange.peerWorkload = claim.facts;
    if (this.#config.writeResponse && !claim.lateen) exchange.setState(this, ANSWER);
  }

  onUpstream(exchange: Exchange): void {
    if (!this.#config.writeRequest) return;
    if (exchange.summary.upstreamMutualTls) {
      exchange.requestEdits.set(METADATA, this.#shared.metadata);
      exchange.requestEdits.set(ID, this.#shared.id);
      exchange.setState(this, TOLD);
    } else if (exchange.state(this) === TOLD) {
      // A retry that goes to another kind of endpoint.
      strip(exchange.requestEdits);
      exchange.setState(this, undefined);
    }
  }

  onResponseHead(exchange: Exchange): void {
    if (this.#config.readResponse && exchange.response !== undefined && carriesPair(exchange.response)) {
      strip(exchange.responseEdits);
    }
    if (exchange.state(this) !== ANSWER) return;
    exchange.responseEdits.set(METADATA, this.#shared.metadata);
    exchange.responseEdits.set(ID, this.#shared.id);
  }
}

function carriesPair(head: HeadView): boolean {
  return head.find(METADATA_BYTES, METADATA_HASH) >= 0 || head.find(ID_BYTES, ID_HASH) >= 0;
}

function strip(edits: HeadEdits): void {
  edits.remove(METADATA);
  edits.remove(ID);
}

/** `spiffe://domain/ns/NAMESPACE/sa/ACCOUNT` names the namespace that the claim must name. */
function mayClaim(principal: string, claim: PeerClaim): boolean {
  const { namespace } = claim.facts;
  return namespace !== "" && !namespace.includes("/") && principal.includes(`/ns/${namespace}/sa/`);
}
