import type { EncodedResource, NackRecord, StreamSource, TypeStatus } from "../types.ts";
import { type Held, Holdings } from "./holdings.ts";
import { NameSet } from "./name-set.ts";
import type { SharedWork } from "./shared-work.ts";

/** A response that waits for its ACK or NACK. */
export interface InFlight {
  readonly nonce: string;
  readonly revision: number;
  /** What it changes. */
  readonly upserted: readonly EncodedResource[];
  readonly removed: readonly string[];
  /** All resources in it: an ACK accepts each, a NACK may blame each. */
  readonly listed: readonly EncodedResource[];
}

const OWED: Held = { kind: "owed" };
const ABSENT: Held = { kind: "absent" };
const NO_RESOURCES: ReadonlyMap<string, EncodedResource> = new Map();
/** Names in one request beyond which they are not tracked one by one. */
const MANY_NAMES = 64;

/** What changes for the client, against what it holds. */
export interface Difference {
  /** New or changed, in responses of limited size. */
  readonly parts: readonly (readonly EncodedResource[])[];
  /** Told to the client as gone. */
  readonly removed: readonly string[];
  /** Gone as well, but the client may still refer to them: to be told later. */
  readonly heldBack: readonly string[];
}

/** What the comparison depends on besides what is held. */
export interface DifferenceContext {
  /** Names of which it cannot be said whether they exist. */
  readonly unknown: ReadonlySet<string> | undefined;
  /** The client may be told now of what is gone. */
  readonly mayRemove: boolean;
  /** Bytes of one response. */
  readonly responseBytes: number;
}

/** A difference that is sent in parts. While it is under way, what was sent of it is not entered into what is held. */
interface Plan {
  readonly desired: ReadonlyMap<string, EncodedResource>;
  readonly difference: Difference;
  /** How many of `difference.parts` were sent. */
  sent: number;
}

/** Subscription and acknowledgement state of one type on one stream. */
export class TypeState {
  readonly typeUrl: string;
  wildcard = false;
  readonly names: NameSet;
  readonly #held = new Holdings();
  #plan: Plan | undefined;
  readonly rejected = new Map<string, NackRecord>();
  /** Refused in company, nobody by name: perhaps only another one of them was at fault. */
  readonly #suspects = new Set<string>();
  /** Names asked for of which the client has not acknowledged a first answer. */
  readonly #fresh = new Set<string>();
  /** So many were asked for at once that they count together, until a complete response is acknowledged. */
  #manyFresh = false;
  readonly #work: SharedWork;
  inFlight: InFlight | undefined;
  /** There may be something to send. */
  dirty = false;
  /** Monotonic time of the oldest change that may have to be sent; undefined when it was the client that asked. */
  changedSince: number | undefined;
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

  constructor(typeUrl: string, work: SharedWork) {
    this.typeUrl = typeUrl;
    this.#work = work;
    this.names = new NameSet(work);
  }

  /** What the client holds, to be looked at and changed by name. */
  get held(): Holdings {
    this.#enterPlan();
    return this.#held;
  }

  /** The client asks for these as well. */
  subscribe(names: readonly string[]): void {
    const many = names.length >= MANY_NAMES;
    if (!many) for (const name of names) if (!this.names.has(name)) this.#fresh.add(name);
    this.names.add(names);
    this.#manyFresh ||= many;
  }

  /** The client says that it holds these versions of an earlier stream. */
  claim(versions: ReadonlyMap<string, string>, source: StreamSource | undefined): void {
    const worth = source !== undefined && versions.size >= MANY_NAMES;
    this.#held.claim(versions, worth ? this.desired(source) : undefined);
  }

  /** Nothing to send and nothing outstanding: the client runs what it was last given. */
  get clean(): boolean {
    return !this.dirty && !this.waiting && !this.#partial && this.inFlight === undefined && this.rejected.size === 0;
  }

  /** Nothing can be sent now, and no answer is outstanding. */
  get idle(): boolean {
    return this.inFlight === undefined && (!this.dirty || this.stalled);
  }

  /** The source could not say everything last time. */
  get uncertain(): boolean {
    return this.stalled || this.#partial;
  }

  /** The client waits for resources it does not have: names asked for, or whatever a change of everything brings. */
  get arriving(): boolean {
    if (this.#fresh.size > 0 || this.#manyFresh) return true;
    return this.wildcard && (this.stalled || this.dirty || this.owesAnswer || this.inFlight !== undefined);
  }

  /** The client brought resources of an earlier stream. */
  get hasClaims(): boolean {
    return this.#held.hasClaims;
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
    // What is under way is sent to its end, as to all who began with it; what came since is compared with that.
    if (this.#plan !== undefined && !this.#partial) return this.#plan.desired;
    if (this.wildcard && this.names.size === 0) return source.resources(this.typeUrl);
    if (this.names.size === 0) return NO_RESOURCES;
    if (!this.wildcard) return this.#shared(source) ?? source.resources(this.typeUrl, this.names.toSet());
    const everything = source.resources(this.typeUrl);
    const named = source.resources(this.typeUrl, this.names.toSet());
    return everything === undefined || named === undefined ? undefined : new Map([...everything, ...named]);
  }

  #shared(source: StreamSource): ReadonlyMap<string, EncodedResource> | undefined {
    const all = this.names.sharable ? source.whole?.(this.typeUrl) : undefined;
    return all === undefined ? undefined : this.names.within(all);
  }

  /** Compares; undefined when the source gave the very map that the client already has. */
  difference(desired: ReadonlyMap<string, EncodedResource>, context: DifferenceContext): Difference | undefined {
    const { unknown } = context;
    this.#partial = unknown !== undefined && unknown.size > 0;
    const plan = this.#plan;
    if (plan !== undefined && plan.desired === desired && !this.#partial) {
      return { ...plan.difference, parts: plan.difference.parts.slice(plan.sent) };
    }
    this.#enterPlan();
    if (desired === this.#seen && !this.#partial) return undefined;
    const difference = this.#sharedDifference(desired, context) ?? this.#ownDifference(desired, context);
    this.#seen = difference.heldBack.length === 0 && !this.#partial ? desired : undefined;
    return difference;
  }

  /** The difference as other streams have it too, when this one holds nothing else and asks for nothing that is not there. */
  #sharedDifference(
    desired: ReadonlyMap<string, EncodedResource>,
    { mayRemove, responseBytes }: DifferenceContext,
  ): Difference | undefined {
    if (this.#partial) return undefined;
    const found = this.#held.shared(desired, this.#work);
    if (found === undefined || this.names.outside(desired).length > 0) return undefined;
    const removed = found.flatMap((one) => one.removed);
    const lists = found.flatMap(({ upserted }) =>
      upserted.length > 0 ? [this.#work.parts(upserted, responseBytes)] : [],
    );
    const total = lists.reduce((sum, { bytes }) => sum + bytes, 0);
    const parts = lists.flatMap((list) => list.parts);
    return {
      parts: parts.length > 1 && total <= responseBytes ? [parts.flat()] : parts,
      removed: mayRemove ? removed : [],
      heldBack: mayRemove ? [] : removed,
    };
  }

  #ownDifference(
    desired: ReadonlyMap<string, EncodedResource>,
    { unknown, mayRemove, responseBytes }: DifferenceContext,
  ): Difference {
    const upserted: EncodedResource[] = [];
    const removed: string[] = [];
    const heldBack: string[] = [];
    const look = (name: string) => {
      const held = this.#held.get(name);
      const resource = desired.get(name);
      if (resource !== undefined) {
        if (versionOf(held) !== resource.version) upserted.push(resource);
      } else if (held?.kind === "absent" || unknown?.has(name)) return;
      else if (held === undefined) {
        if (this.names.has(name)) removed.push(name);
      } else if (held.kind === "owed" || mayRemove) removed.push(name);
      else heldBack.push(name);
    };
    const differing = this.#held.differing(desired, this.#work);
    for (const name of differing) look(name);
    for (const name of this.names.outside(desired)) if (!differing.has(name)) look(name);
    return { parts: this.#work.parts(upserted, responseBytes).parts, removed, heldBack };
  }

  /** What is asked for and was not answered now will not be before the next change. */
  evaluated(answered: Pick<InFlight, "upserted" | "removed"> | undefined): void {
    if (this.incomplete) return;
    if (answered === undefined) this.#manyFresh = false;
    if (this.#fresh.size === 0) return;
    const pending = new Set(answered === undefined ? [] : [...namesOf(answered.upserted), ...answered.removed]);
    for (const name of this.#fresh) if (!pending.has(name)) this.#fresh.delete(name);
  }

  /** The response was answered, one way or the other. */
  answered(inFlight: InFlight): void {
    this.inFlight = undefined;
    if (!this.incomplete) this.#manyFresh = false;
    if (this.#fresh.size === 0) return;
    for (const { name } of inFlight.upserted) this.#fresh.delete(name);
    for (const name of inFlight.removed) this.#fresh.delete(name);
  }

  /** The client has been sent the first of the parts that the last {@link TypeState.difference} said; the others follow. */
  sentPart(desired: ReadonlyMap<string, EncodedResource>, difference: Difference): void {
    if (this.#plan === undefined) this.#plan = { desired, difference, sent: 1 };
    else this.#plan.sent++;
  }

  /** Enters what was sent of a plan into what is held, and gives the rest of it up. */
  #enterPlan(): void {
    const plan = this.#plan;
    if (plan === undefined) return;
    this.#plan = undefined;
    for (const part of plan.difference.parts.slice(0, plan.sent)) {
      for (const resource of part) this.#held.set(resource.name, { kind: "resource", resource });
    }
  }

  /** The client has been sent all that was missing for `desired`, but keeps `kept`, which it may not be told of yet. */
  sentAll(
    desired: ReadonlyMap<string, EncodedResource>,
    removed: readonly string[],
    kept: { readonly heldBack: readonly string[]; readonly unknown: ReadonlySet<string> | undefined },
  ): void {
    const unsaid = [...(kept.unknown ?? [])].filter((name) => !desired.has(name));
    const wasPlan = this.#plan !== undefined;
    this.#plan = undefined;
    // The source may have gone on meanwhile.
    if (wasPlan) this.touch();
    for (const name of removed) this.#held.delete(name);
    this.#held.settle(desired, [...kept.heldBack, ...unsaid]);
    for (const name of removed) {
      this.#acquit(name);
      if (this.names.has(name)) this.#held.set(name, ABSENT);
    }
  }

  /**
   * Takes note of a positive answer. What was refused in company gets another chance, now that others are out of its way: a client that
   * refuses whole responses may lack it through no fault of its own.
   */
  acknowledge(inFlight: InFlight): void {
    this.ackedNonce = inFlight.nonce;
    if (this.rejected.size === 0) return;
    for (const { name } of inFlight.listed) {
      this.rejected.delete(name);
      this.#suspects.delete(name);
    }
    this.rejected.delete("");
    this.#retrySuspects();
  }

  /** The client does not ask for these names any more. */
  letGo(names: readonly string[]): void {
    this.names.delete(names);
    for (const name of names) {
      this.#fresh.delete(name);
      this.#acquit(name);
    }
  }

  /** Takes note of a refusal; what was refused is not sent again until it changes. */
  refuse(inFlight: InFlight, reason: string): NackRecord {
    const text = reason.slice(0, 4096);
    const mentioned = namesOf(inFlight.listed).filter((name) => mentions(text, name));
    const names = mentioned.length > 0 ? mentioned : namesOf(inFlight.upserted);
    const record: NackRecord = {
      typeUrl: this.typeUrl,
      nonce: inFlight.nonce,
      revision: inFlight.revision,
      reason: excerpt(reason),
      names,
    };
    for (const { name } of inFlight.upserted) {
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

  get #sentOfPlan(): number {
    const { difference, sent } = this.#plan ?? {};
    return difference?.parts.slice(0, sent).reduce((sum, part) => sum + part.length, 0) ?? 0;
  }

  status(): TypeStatus {
    let nack: NackRecord | undefined;
    for (const record of this.rejected.values()) nack = record;
    return {
      sent: this.sentNonce,
      acked: this.ackedNonce,
      nack,
      resources: this.#held.resources + this.#sentOfPlan,
    };
  }
}

function namesOf(resources: readonly EncodedResource[]): readonly string[] {
  return resources.map(({ name }) => name);
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

const MAX_REASON = 1024;
/** Of a longer reason, how much of its beginning is kept. */
const REASON_START = 256;

/** A bounded reason. Envoy prints the whole resource before it says what is wrong with it, so of a long text both ends are kept. */
function excerpt(reason: string): string {
  if (reason.length <= MAX_REASON) return reason;
  return `${reason.slice(0, REASON_START)} … ${reason.slice(reason.length - (MAX_REASON - REASON_START - 3))}`;
}
