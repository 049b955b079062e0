import type { IncomingMessage } from "node:http";
import { type Clock, systemClock } from "@lateen/kernel";
import { notUnderstood, type Refusal, refusedByServer, tooLarge, unreachable } from "../errors.ts";
import type { ClusterAccess } from "./access.ts";
import { LineSplitter } from "./lines.ts";
import { type ApiObject, isApiObject, isFields } from "./objects.ts";
import { collectionPath, objectPath, type ResourceAddress } from "./resources.ts";
import { type Exchange, Transport } from "./transport.ts";

export interface ApiOptions {
  readonly clock?: Clock;
  /** For one answer, from request to end. Default 30,000. */
  readonly timeoutMs?: number;
  /** Largest answer that is read. Default 64 MiB. */
  readonly maxBytes?: number;
}

/** A watch that is being read. */
export interface WatchOptions {
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly accept?: string;
  readonly signal: AbortSignal;
  /**
   * Milliseconds without a byte after which the watch ends as if the server had ended it: the connection may be dead, or there was nothing
   * to tell. API servers send bookmarks only where a version has gone on.
   */
  readonly stallMs: number;
  /** The server has taken it. */
  readonly accepted?: () => void;
  /** Gets what has arrived at once, decoded. What it throws ends the watch. */
  readonly receive: (events: readonly unknown[]) => void;
}

type Call = Omit<Exchange, "timeoutMs"> & { readonly timeoutMs?: number };

/** An object of the API is at most 1.5 MiB in etcd, and larger as JSON. */
const MAX_EVENT_BYTES = 16 * 1024 * 1024;

/**
 * The Kubernetes API over HTTP/1.1: requests that are answered by JSON, and watches. It knows no kinds. Errors are LTN6501 (refused),
 * LTN6502 (unreachable), LTN6503 (not understood), LTN6504 (too large).
 */
export class KubernetesApi {
  readonly #access: ClusterAccess;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #maxBytes: number;

  constructor(access: ClusterAccess, options: ApiOptions = {}) {
    this.#clock = options.clock ?? systemClock();
    this.#access = access;
    this.#transport = new Transport(access, this.#clock);
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
  }

  /** Namespace of this process, or of the kubeconfig's context. */
  get namespace(): string {
    return this.#access.namespace;
  }

  /** For messages. */
  get server(): string {
    return this.#access.server;
  }

  close(): void {
    this.#transport.close();
  }

  /** @returns the answer's JSON. */
  async request(call: Call): Promise<unknown> {
    const exchange = { ...call, timeoutMs: call.timeoutMs ?? this.#timeoutMs };
    const what = `${exchange.method} ${exchange.path}`;
    const began = this.#clock.monotonic();
    const answer = await this.#transport.open(exchange, "short");
    const left = Math.max(1, exchange.timeoutMs - (this.#clock.monotonic() - began));
    const text = await this.#readAll(answer, what, left, exchange.signal);
    return this.#accepted(answer, what, text);
  }

  /** @throws also LTN6501 with status 404. */
  async get(address: ResourceAddress, name: string, signal?: AbortSignal): Promise<ApiObject> {
    const path = objectPath(address, name);
    return object(path, await this.request({ method: "GET", path, ...(signal === undefined ? {} : { signal }) }));
  }

  /** @throws also LTN6501 with status 409 when it exists. */
  async create(address: ResourceAddress, body: ApiObject): Promise<ApiObject> {
    const path = collectionPath(address);
    return object(path, await this.request({ method: "POST", path, body }));
  }

  /** Replaces an object; with a `resourceVersion` only that version of it (LTN6501 with status 409 otherwise). */
  async replace(address: ResourceAddress, body: ApiObject): Promise<ApiObject> {
    const path = objectPath(address, body.metadata.name);
    return object(path, await this.request({ method: "PUT", path, body }));
  }

  /** A JSON merge patch (RFC 7386) of an object or of its status. */
  async patch(address: ResourceAddress, name: string, body: unknown, subresource?: "status"): Promise<ApiObject> {
    const path = objectPath(address, name, subresource);
    const contentType = "application/merge-patch+json";
    return object(path, await this.request({ method: "PATCH", path, body, contentType }));
  }

  async remove(address: ResourceAddress, name: string): Promise<void> {
    await this.request({ method: "DELETE", path: objectPath(address, name) });
  }

  /**
   * Reads a watch until the server ends it, as it does from time to time, or says nothing for too long.
   * @throws when it was refused or broke off.
   */
  async watch(address: ResourceAddress, options: WatchOptions): Promise<void> {
    const path = collectionPath(address);
    const what = `watch ${path}`;
    const { query, accept, signal } = options;
    const exchange = { method: "GET", path, query, signal, timeoutMs: this.#timeoutMs } as const;
    const answer = await this.#transport.open({ ...exchange, ...(accept === undefined ? {} : { accept }) }, "lasting");
    if (answer.statusCode !== 200) {
      this.#accepted(answer, what, await this.#readAll(answer, what, this.#timeoutMs, signal));
      throw notUnderstood(what, `status ${answer.statusCode}`);
    }
    options.accepted?.();
    await this.#readEvents(answer, what, options);
  }

  #readEvents(answer: IncomingMessage, what: string, options: WatchOptions): Promise<void> {
    const lines = new LineSplitter(MAX_EVENT_BYTES);
    return new Promise((resolve, reject) => {
      let cancel = () => {};
      const abort = () => fail(unreachable(what, "given up"));
      const done = () => {
        cancel();
        options.signal.removeEventListener("abort", abort);
      };
      const fail = (error: unknown) => {
        done();
        answer.destroy();
        reject(error);
      };
      const expect = () => {
        cancel();
        cancel = this.#clock.after(options.stallMs, () => {
          done();
          answer.destroy();
          resolve();
        });
      };
      expect();
      answer.on("data", (chunk: Buffer) => {
        expect();
        try {
          const events = lines.push(chunk).map((line) => parsed(what, line));
          if (events.length > 0) options.receive(events);
        } catch (error) {
          fail(error instanceof RangeError ? notUnderstood(what, error.message) : error);
        }
      });
      answer.once("end", () => {
        done();
        resolve();
      });
      answer.once("error", (error) => fail(unreachable(what, error)));
      answer.once("close", () => fail(unreachable(what, "the connection was closed")));
      if (options.signal.aborted) abort();
      else options.signal.addEventListener("abort", abort, { once: true });
    });
  }

  #readAll(answer: IncomingMessage, what: string, timeoutMs: number, signal?: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const fail = (error: unknown) => {
        done();
        answer.destroy();
        reject(error);
      };
      const abort = () => fail(unreachable(what, "given up"));
      const cancel = this.#clock.after(timeoutMs, () => fail(unreachable(what, "the answer did not end in time")));
      const done = () => {
        cancel();
        signal?.removeEventListener("abort", abort);
      };
      answer.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > this.#maxBytes) fail(tooLarge(what, this.#maxBytes));
        else chunks.push(chunk);
      });
      answer.once("end", () => {
        done();
        resolve(Buffer.concat(chunks).toString("utf8"));
      });
      answer.once("error", (error) => fail(unreachable(what, error)));
      answer.once("close", () => fail(unreachable(what, "the connection was closed")));
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  #accepted(answer: IncomingMessage, what: string, text: string): unknown {
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return parsed(what, text);
    if (status === 401) this.#access.forget();
    const { reason, message } = statusFields(text);
    throw refusedByServer(what, { status, reason, retryAfterMs: retryAfter(answer) }, message);
  }
}

/** A refusal that comes as an event of a watch: a Status object instead of an object. */
export function refusedEvent(what: string, status: unknown): Error {
  const fields = isFields(status) ? status : {};
  const code = typeof fields.code === "number" ? fields.code : 0;
  const reason = typeof fields.reason === "string" ? fields.reason : "";
  const message = typeof fields.message === "string" ? fields.message : "";
  const refusal: Refusal = { status: code, reason, retryAfterMs: undefined };
  return refusedByServer(what, refusal, message);
}

function parsed(what: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notUnderstood(what, "not JSON");
  }
}

function object(what: string, value: unknown): ApiObject {
  if (isApiObject(value)) return value;
  throw notUnderstood(what, "not an object with a name");
}

/** What a Status object says; proxies in between answer otherwise. */
function statusFields(text: string): { readonly reason: string; readonly message: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { reason: "", message: "" };
  }
  const fields = isFields(value) ? value : {};
  const { reason, message } = fields;
  return {
    reason: typeof reason === "string" ? reason : "",
    message: typeof message === "string" ? message.slice(0, 500) : "",
  };
}

function retryAfter(answer: IncomingMessage): number | undefined {
  const seconds = Number(answer.headers["retry-after"]);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
}
