import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Clock } from "@lateen/kernel";
import { unreachable } from "../errors.ts";
import type { ClusterAccess } from "./access.ts";

/** One request. */
export interface Exchange {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Of the API, such as `/api/v1/pods`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** Of the body. Default `application/json`. */
  readonly contentType?: string;
  /** Default `application/json`. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** Until the answer's head is there, and for a whole answer until its end. */
  readonly timeoutMs: number;
  /** Never waits for a connection that other requests have. For few requests that must be quick. Default false. */
  readonly urgent?: boolean;
}

/** A peer that vanished without a word is noticed after this time and ten probes of a second each. */
const PROBE_AFTER_MS = 15_000;
/** Of short requests; watches have a connection each. */
const CONNECTIONS = 8;

/** Sends requests with the credentials of the moment. Connections of short requests are kept. */
export class Transport {
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  readonly #secure: boolean;
  readonly #kept: HttpAgent | HttpsAgent;
  readonly #urgent: HttpAgent | HttpsAgent;
  readonly #lasting: HttpAgent | HttpsAgent;

  constructor(access: ClusterAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
    this.#secure = access.server.startsWith("https:");
    const Agent = this.#secure ? HttpsAgent : HttpAgent;
    this.#kept = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, maxFreeSockets: 2 });
    // Who asks for that has few requests on the way.
    this.#urgent = new Agent({ keepAlive: true, maxFreeSockets: 1 });
    this.#lasting = new Agent({ keepAlive: false });
  }

  /** Closes all connections. */
  close(): void {
    this.#kept.destroy();
    this.#urgent.destroy();
    this.#lasting.destroy();
  }

  /**
   * @param kind `lasting`: an answer without end.
   * @returns the answer when its head has come. Whoever gets it reads or destroys it.
   * @throws LTN6502
   */
  async open(exchange: Exchange, kind: "short" | "lasting"): Promise<IncomingMessage> {
    const what = `${exchange.method} ${exchange.path}`;
    let options: RequestOptions;
    try {
      options = await this.#options(exchange, kind);
    } catch (error) {
      throw unreachable(what, error);
    }
    return new Promise((resolve, reject) => {
      const send = this.#secure ? httpsRequest : httpRequest;
      const request = send(`${this.#access.server}${exchange.path}${queryText(exchange.query)}`, options);
      const abort = () => request.destroy(new Error("given up"));
      const cancel = this.#clock.after(exchange.timeoutMs, () =>
        request.destroy(new Error(`no answer within ${exchange.timeoutMs} ms`)),
      );
      const settle = () => {
        cancel();
        exchange.signal?.removeEventListener("abort", abort);
      };
      request.once("socket", (socket) => socket.setKeepAlive(true, PROBE_AFTER_MS));
      request.once("response", (answer) => {
        settle();
        resolve(answer);
      });
      request.on("error", (error) => {
        settle();
        reject(unreachable(what, error));
      });
      if (exchange.signal?.aborted) abort();
      else exchange.signal?.addEventListener("abort", abort, { once: true });
      request.end(exchange.body === undefined ? undefined : JSON.stringify(exchange.body));
    });
  }

  async #options(exchange: Exchange, kind: "short" | "lasting"): Promise<RequestOptions> {
    const { method, accept = "application/json", contentType = "application/json", body, urgent = false } = exchange;
    const short = urgent ? this.#urgent : this.#kept;
    const authorization = await this.#access.authorization();
    const { verify, ...tls } = await this.#access.tls();
    return {
      method,
      agent: kind === "short" ? short : this.#lasting,
      headers: {
        accept,
        "user-agent": "lateen",
        ...(authorization === undefined ? {} : { authorization }),
        ...(body === undefined ? {} : { "content-type": contentType }),
      },
      ...(this.#secure ? { ...tls, rejectUnauthorized: verify } : {}),
    };
  }
}

function queryText(query: Exchange["query"]): string {
  const given = Object.entries(query ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`;
}
