import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { type Clock, type Logger, messageOf, type Scope, silentLogger, sleep, systemClock } from "@lateen/kernel";
import type { HeldLease, Lease } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type ApiObject, type Fields, isFields } from "../client/objects.ts";
import { collectionPath, objectPath } from "../client/resources.ts";
import { isRefused } from "../errors.ts";

/** Milliseconds. With the defaults another replica leads at most 5 s after the leader vanished. */
export interface LeaseTimes {
  /** A lease that was not renewed for so long is free. Whole seconds. Default 4000. */
  readonly durationMs: number;
  /** A holder that could not renew for so long leads no more; shorter than `durationMs`. Default 3000. */
  readonly lostMs: number;
  /** Between renewals, and until the next is sent when one is not answered. Default 1000. */
  readonly renewMs: number;
  /** Between attempts of those who wait, and before a renewal that failed is sent again. Default 400. */
  readonly retryMs: number;
}

export interface KubernetesLeaseOptions extends Partial<LeaseTimes> {
  /** Default: that of this process. */
  readonly namespace?: string;
  /** Shown as the holder. Default: the host's name (a pod's name) with something that no other process has. */
  readonly identity?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/**
 * Leadership by a Lease object (coordination.k8s.io/v1). The fencing token is `leaseTransitions`, which begins with the time in seconds. Clocks
 * of replicas need not agree: each measures by its own how long the lease has not changed.
 */
export function kubernetesLease(api: KubernetesApi, options: KubernetesLeaseOptions = {}): Lease {
  return {
    async acquire(scope, name) {
      const candidate = new Candidate(api, options, scope, name);
      return candidate.acquire();
    },
  };
}

interface LeaseState {
  readonly object: ApiObject;
  readonly holder: string;
  readonly transitions: number;
  readonly durationMs: number;
}

class Candidate {
  readonly #api: KubernetesApi;
  readonly #name: string;
  readonly #namespace: string;
  readonly #identity: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #scope: Scope;
  readonly #times: LeaseTimes;
  #seenVersion: string | undefined;
  #seenAt = 0;
  #complaint = "";

  constructor(api: KubernetesApi, options: KubernetesLeaseOptions, scope: Scope, name: string) {
    this.#api = api;
    this.#name = name;
    this.#namespace = options.namespace ?? api.namespace;
    this.#identity = options.identity ?? `${hostname()}_${randomUUID().slice(0, 8)}`;
    this.#clock = options.clock ?? systemClock();
    this.#logger = (options.logger ?? silentLogger).child({ component: "lease", lease: name });
    this.#scope = scope;
    this.#times = { durationMs: 4000, lostMs: 3000, renewMs: 1000, retryMs: 400, ...options };
  }

  get #address() {
    return { group: "coordination.k8s.io", version: "v1", plural: "leases", namespace: this.#namespace };
  }

  async acquire(): Promise<HeldLease> {
    const { signal } = this.#scope;
    for (;;) {
      signal.throwIfAborted();
      const began = this.#clock.monotonic();
      try {
        const mine = await this.#tryOnce();
        if (mine !== undefined) return this.#hold(mine, began);
        this.#complaint = "";
      } catch (error) {
        // Somebody else was quicker; everything else is told once.
        if (!isRefused(error, 409)) this.#complain(error);
      }
      await sleep(this.#clock, this.#times.retryMs, signal);
    }
  }

  async #tryOnce(): Promise<ApiObject | undefined> {
    const state = await this.#read();
    if (state === undefined) {
      const body = {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: this.#metadata({}),
        // Larger than any before, should the object have been deleted: who was told a token believes none that is smaller.
        spec: this.#spec(Math.floor(this.#clock.now() / 1000)),
      };
      return this.#send("POST", body);
    }
    const { object, holder, transitions, durationMs } = state;
    const now = this.#clock.monotonic();
    if (object.metadata.resourceVersion !== this.#seenVersion) {
      this.#seenVersion = object.metadata.resourceVersion;
      this.#seenAt = now;
    }
    // Held by this one: the answer that said so got lost.
    if (holder !== "" && holder !== this.#identity && now - this.#seenAt < durationMs) return undefined;
    return this.#send("PUT", { ...object, spec: this.#spec(transitions + 1) });
  }

  async #read(signal?: AbortSignal): Promise<LeaseState | undefined> {
    let object: ApiObject;
    try {
      const path = objectPath(this.#address, this.#name);
      object = (await this.#api.request({ method: "GET", path, ...this.#limits(signal) })) as ApiObject;
    } catch (error) {
      if (isRefused(error, 404)) return undefined;
      throw error;
    }
    const spec: Fields = isFields(object.spec) ? object.spec : {};
    const { holderIdentity, leaseTransitions, leaseDurationSeconds } = spec;
    return {
      object,
      holder: typeof holderIdentity === "string" ? holderIdentity : "",
      transitions: typeof leaseTransitions === "number" ? leaseTransitions : 0,
      durationMs: typeof leaseDurationSeconds === "number" ? leaseDurationSeconds * 1000 : this.#times.durationMs,
    };
  }

  /** With the version that was read, so that of two who try one succeeds. */
  async #send(method: "POST" | "PUT", body: unknown, signal?: AbortSignal): Promise<ApiObject> {
    const path = method === "POST" ? collectionPath(this.#address) : objectPath(this.#address, this.#name);
    return (await this.#api.request({ method, path, body, ...this.#limits(signal) })) as ApiObject;
  }

  #limits(signal: AbortSignal | undefined) {
    // A leader that begins lists everything there is: its renewals are not to stand in that queue.
    return { timeoutMs: this.#times.lostMs, urgent: true, ...(signal === undefined ? {} : { signal }) };
  }

  #metadata(more: Fields) {
    return { ...more, name: this.#name, namespace: this.#namespace };
  }

  #spec(leaseTransitions: number) {
    const now = microTime(this.#clock);
    return {
      holderIdentity: this.#identity,
      leaseDurationSeconds: Math.max(1, Math.round(this.#times.durationMs / 1000)),
      acquireTime: now,
      renewTime: now,
      leaseTransitions,
    };
  }

  /** Renews until the scope closes or that cannot be done. One answer that is slow or gets lost is not the end: the next renewal does not wait for it. */
  #hold(first: ApiObject, sentAt: number): HeldLease {
    const lost = new AbortController();
    const { signal } = lost;
    const { renewMs, lostMs, retryMs } = this.#times;
    let lease = first;
    let renewedAt = sentAt;
    let watchdog = () => {};
    let planned = () => {};
    const arm = () => {
      watchdog();
      const left = Math.max(0, renewedAt + lostMs - this.#clock.monotonic());
      watchdog = this.#clock.after(left, () => end(new Error(`the lease could not be renewed for ${lostMs} ms`)));
    };
    const plan = (ms: number) => {
      planned();
      planned = signal.aborted ? () => {} : this.#clock.after(ms, () => void renew());
    };
    const end = (reason: Error) => {
      planned();
      watchdog();
      lost.abort(reason);
    };
    const renew = async () => {
      const began = this.#clock.monotonic();
      plan(renewMs);
      try {
        lease = await this.#send("PUT", this.#renewed(lease), signal);
        if (signal.aborted) return;
        renewedAt = Math.max(renewedAt, began);
        this.#complaint = "";
        arm();
        plan(renewMs);
      } catch (error) {
        const found = isRefused(error, 409) ? await this.#read(signal).catch(() => undefined) : undefined;
        if (signal.aborted) return;
        // An answer that got lost: the renewal before was done. Nobody knows when, so that it does not count.
        if (found?.holder === this.#identity) {
          lease = found.object;
          plan(0);
        } else if (found !== undefined || isRefused(error, 404)) end(new Error("somebody else has the lease"));
        else {
          this.#complain(error);
          plan(retryMs);
        }
      }
    };
    arm();
    plan(renewMs);
    this.#scope.defer(async () => {
      const held = !signal.aborted;
      end(new Error("the lease was given back"));
      if (held) await this.#giveBack(lease);
    });
    const { leaseTransitions } = lease.spec as { readonly leaseTransitions: number };
    this.#logger.info({ event: "lease.acquired", holder: this.#identity, token: leaseTransitions });
    return { fencingToken: leaseTransitions, lost: signal };
  }

  #renewed(lease: ApiObject, more: Fields = {}) {
    return { ...lease, spec: { ...(lease.spec as Fields), ...more, renewTime: microTime(this.#clock) } };
  }

  /** Takes as long as one request may take: who waits for the lease gets it without that, only later. */
  async #giveBack(lease: ApiObject): Promise<void> {
    const late = new AbortController();
    const cancel = this.#clock.after(this.#times.lostMs, () => late.abort());
    const free = { holderIdentity: "", leaseDurationSeconds: 1 };
    try {
      await this.#send("PUT", this.#renewed(lease, free), late.signal).catch(async (error: unknown) => {
        // The last renewal was done although nobody waited for its answer any more.
        const found = isRefused(error, 409) ? await this.#read(late.signal) : undefined;
        if (found?.holder !== this.#identity) throw error;
        await this.#send("PUT", this.#renewed(found.object, free), late.signal);
      });
    } catch (error) {
      this.#complain(error);
    } finally {
      cancel();
    }
  }

  #complain(error: unknown): void {
    const reason = messageOf(error);
    if (reason !== this.#complaint) this.#logger.warn({ event: "lease.failed", reason });
    this.#complaint = reason;
  }
}

/** As Kubernetes writes MicroTime. */
function microTime(clock: Clock): string {
  return new Date(clock.now()).toISOString().replace("Z", "000Z");
}
