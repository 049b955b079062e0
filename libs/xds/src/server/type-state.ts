import type { EncodedResource, NackRecord, StreamSource, TypeStatus } from "../types.ts";

/** A response that waits for its ACK or NACK. */
export interface InFlight {
  readonly nonce: string;
  readonly revision: number;
  /** Names of the resources that it changes. */
  readonly upserted: readonly string[];
  readonly removed: readonly string[];
  /** Names of all resources in it: an ACK accepts each, a NACK may blame each. */
  readonly listed: readonly string[];
}

/** What the client holds under a name. */
export type Held =
  | { readonly kind: "resource"; readonly resource: EncodedResource }
  /** Claimed by the client when it connected: version known, bytes not. */
  | { readonly kind: "claimed"; readonly version: string }
  /** The client was told that there is none. */
  | { readonly kind: "absent" }
  /** The client asked again or let go: it must be told, whatever it holds. */
  | { readonly kind: "owed" };

const OWED: Held = { kind: "owed" };
const ABSENT: Held = { kind: "absent" };

/** What changes for the client, against what it holds. */
export interface Difference {
  readonly upserted: readonly EncodedResource[];
  /** Told to the client as gone. */
  readonly removed: readonly string[];
  /** Gone as well, but the client may still refer to them: to be told later. */
  readonly heldBack: readonly string[];
}

/** Subscription and acknowledgement state of one type on one stream. */
export class TypeState {
  readonly typeUrl: string;
  wildcard = false;
  readonly names = new Set<string>();
  readonly held = new Map<string, Held>();
  readonly rejected = new Map<string, NackRecord>();
  /** Refused in company, nobody by name: perhaps only another one of them was at fault. */
  readonly #suspects = new Set<string>();
  /** Names asked for of which the client has not acknowledged a first answer. */
  readonly fresh = new Set<string>();
  inFlight: InFlight | undefined;
  /** There may be something to send. */
  dirty = false;
  /** A response is due even when it is empty. */
  owesAnswer = false;
  /** Removals wait for other types to be acknowledged. */
  waiting = false;
  /** The last response was cut at the size limit; the types after this one wait. */
  incomplete = false;
  /** The source could not answer; it is asked again after the next change or request. */
  stalled = false;
  sentNonce: string | undefined;
  ackedNonce: string | undefined;
  #seen: ReadonlyMap<string, EncodedResource> | undefined;
  /** The source could not tell of every name whether it exists. */
  #partial = false;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
  }

  /** Nothing to send and nothing outstanding: the client runs what it was last given. */
  get clean(): boolean {
    return !this.dirty && !this.waiting && !this.#partial && this.inFlight === undefined && this.rejected.size === 0;
  }

  /** The client waits for resources it does not have: names asked for, or whatever a change of everything brings. */
  get arriving(): boolean {
    if (this.fresh.size > 0) return true;
    return this.wildcard && (this.stalled || this.dirty || this.owesAnswer || this.inFlight !== undefined);
  }

  /** The client brought resources of an earlier stream. */
  get hasClaims(): boolean {
    for (const held of this.held.values()) if (held.kind === "claimed") return true;
    return false;
  }

  /** The client must be told about this name once more. */
  owe(name: string): void {
    this.held.set(name, OWED);
    this.touch();
  }

  /** Forces the next comparison. */
  touch(): void {
    this.#seen = undefined;
    this.dirty = true;
    this.stalled = false;
  }

  /** What the client should hold by now, of what it asked for; undefined when the source cannot say. */
  desired(source: StreamSource): ReadonlyMap<string, EncodedResource> | undefined {
    if (this.wildcard && this.names.size === 0) return source.resources(this.typeUrl);
    if (!this.wildcard) return this.names.size === 0 ? new Map() : source.resources(this.typeUrl, this.names);
    const everything = source.resources(this.typeUrl);
    const named = source.resources(this.typeUrl, this.names);
    return everything === undefined || named === undefined ? undefined : new Map([...everything, ...named]);
  }

  /** Compares; undefined when the source gave the very map that the client already has. */
  difference(
    desired: ReadonlyMap<string, EncodedResource>,
    unknown: ReadonlySet<string> | undefined,
    mayRemove: boolean,
  ): Difference | undefined {
    this.#partial = unknown !== undefined && unknown.size > 0;
    if (desired === this.#seen && !this.#partial) return undefined;
    const upserted: EncodedResource[] = [];
    for (const [name, resource] of desired) {
      if (versionOf(this.held.get(name)) !== resource.version) upserted.push(resource);
    }
    const removed: string[] = [];
    const heldBack: string[] = [];
    for (const [name, held] of this.held) {
      if (held.kind === "absent" || desired.has(name) || unknown?.has(name)) continue;
      if (held.kind === "owed" || mayRemove) removed.push(name);
      else heldBack.push(name);
    }
    for (const name of this.names) {
      if (!desired.has(name) && !this.held.has(name) && !unknown?.has(name)) removed.push(name);
    }
    this.#seen = heldBack.length === 0 && !this.#partial ? desired : undefined;
    return { upserted, removed, heldBack };
  }

  /** What is asked for and was not answered now will not be before the next change. */
  evaluated(answered: { readonly upserted: readonly string[]; readonly removed: readonly string[] } | undefined): void {
    if (this.incomplete || this.fresh.size === 0) return;
    const pending = new Set(answered === undefined ? [] : [...answered.upserted, ...answered.removed]);
    for (const name of this.fresh) if (!pending.has(name)) this.fresh.delete(name);
  }

  /** The response was answered, one way or the other. */
  answered(inFlight: InFlight): void {
    this.inFlight = undefined;
    for (const name of inFlight.upserted) this.fresh.delete(name);
    for (const name of inFlight.removed) this.fresh.delete(name);
  }

  /** The client has been sent these. */
  sent(upserted: readonly EncodedResource[], removed: readonly string[]): void {
    for (const resource of upserted) this.held.set(resource.name, { kind: "resource", resource });
    for (const name of removed) {
      this.#acquit(name);
      if (this.names.has(name)) this.held.set(name, ABSENT);
      else this.held.delete(name);
    }
  }

  /**
   * Takes note of a positive answer. What was refused in company gets another chance, now that others are out of its way: a client that
   * refuses whole responses may lack it through no fault of its own.
   */
  acknowledge(inFlight: InFlight): void {
    for (const name of inFlight.listed) {
      this.rejected.delete(name);
      this.#suspects.delete(name);
    }
    this.rejected.delete("");
    this.ackedNonce = inFlight.nonce;
    this.#retrySuspects();
  }

  /** The client does not ask for this name any more. */
  letGo(name: string): void {
    this.names.delete(name);
    this.fresh.delete(name);
    this.#acquit(name);
  }

  /** Takes note of a refusal; what was refused is not sent again until it changes. */
  refuse(inFlight: InFlight, reason: string): NackRecord {
    const text = reason.slice(0, 4096);
    const mentioned = inFlight.listed.filter((name) => mentions(text, name));
    const names = mentioned.length > 0 ? mentioned : inFlight.upserted;
    const record: NackRecord = {
      typeUrl: this.typeUrl,
      nonce: inFlight.nonce,
      revision: inFlight.revision,
      reason: reason.slice(0, 1024),
      names,
    };
    for (const name of inFlight.upserted) {
      this.rejected.delete(name);
      this.#suspects.delete(name);
    }
    for (const name of names) {
      // Let go while the response was on its way: of no concern any more.
      if (!this.wildcard && !this.names.has(name)) continue;
      this.rejected.set(name, record);
      if (mentioned.length === 0 && names.length > 1) this.#suspects.add(name);
    }
    // A response without resources can be refused as well; then the type as such is what was refused.
    if (names.length === 0) this.rejected.set("", record);
    return record;
  }

  /** A name that is gone is at fault no more; those refused with it may have suffered for it. */
  #acquit(name: string): void {
    this.rejected.delete(name);
    if (this.#suspects.delete(name)) this.#retrySuspects();
  }

  #retrySuspects(): void {
    for (const name of this.#suspects) if (this.held.get(name)?.kind === "resource") this.owe(name);
    this.#suspects.clear();
  }

  status(): TypeStatus {
    let nack: NackRecord | undefined;
    for (const record of this.rejected.values()) nack = record;
    let resources = 0;
    for (const held of this.held.values()) if (held.kind === "resource" || held.kind === "claimed") resources++;
    return { sent: this.sentNonce, acked: this.ackedNonce, nack, resources };
  }
}

/** Whether a text names something, and not only something whose name contains it. */
function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    if (!/[\w|/.-]$/.test(text.slice(0, at)) && !/^(?:[\w|/-]|[.:][\w|/-])/.test(text.slice(at + name.length)))
      return true;
  }
  return false;
}

function versionOf(held: Held | undefined): string | undefined {
  switch (held?.kind) {
    case "resource":
      return held.resource.version;
    case "claimed":
      return held.version;
    default:
      return undefined;
  }
}
