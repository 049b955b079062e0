import type { IncomingMessage } from "node:http";
import { isAbsolute, relative } from "node:path";
import {
  meshNotRunning,
  openSocketRequest,
  type SocketResponse,
  type StatusReport,
  socketRequest,
} from "@lateen/local-runtime";
import { type Cli, stateOf } from "../cli.ts";
import { fromMesh, meshUnavailable } from "../errors.ts";

/** Asks a running mesh through its admin socket. */
export class MeshClient {
  readonly mesh: string;
  readonly #socketPath: string;

  constructor(cli: Cli, mesh: string) {
    this.mesh = mesh;
    this.#socketPath = stateOf(cli, mesh).adminSocket;
  }

  status(): Promise<StatusReport> {
    return this.get<StatusReport>("/status");
  }

  /**
   * GET; the answer parsed as JSON. The shape is what this version's mesh answers.
   * @throws LTN7006 without a mesh, LTN7502 when it cannot answer, else the error it answered with.
   */
  async get<T>(path: string, timeoutMs?: number): Promise<T> {
    const answer = await this.#ask({ path, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    return parse<T>(answer);
  }

  /** POST with a JSON body. Same errors as {@link MeshClient.get}. */
  async post<T>(path: string, body: unknown, timeoutMs?: number): Promise<T> {
    return parse<T>(await this.#ask({ path, body, method: "POST", ...(timeoutMs === undefined ? {} : { timeoutMs }) }));
  }

  /** Opens an answer that stays open. @throws LTN7006 without a mesh, else the error it answered with. */
  async open(path: string, body?: unknown): Promise<IncomingMessage> {
    let response: IncomingMessage;
    try {
      response = await openSocketRequest({
        socketPath: this.#socketPath,
        path,
        timeoutMs: 0,
        ...(body === undefined ? {} : { body, method: "POST" }),
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (response.statusCode === 200) return response;
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    throw refusal(response.statusCode ?? 0, Buffer.concat(parts).toString("utf8"));
  }

  async #ask(request: {
    readonly path: string;
    readonly method?: string;
    readonly body?: unknown;
    readonly timeoutMs?: number;
  }): Promise<SocketResponse> {
    try {
      return await socketRequest({ socketPath: this.#socketPath, ...request });
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  #unreachable(error: unknown): Error {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ECONNREFUSED") return meshNotRunning(this.mesh, error);
    return meshUnavailable(
      `mesh "${this.mesh}" did not answer: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function parse<T>(answer: SocketResponse): T {
  if (answer.status < 200 || answer.status > 299) throw refusal(answer.status, answer.body);
  try {
    return JSON.parse(answer.body) as T;
  } catch {
    throw meshUnavailable(`the mesh answered something that is not JSON: ${answer.body.slice(0, 120)}`);
  }
}

function refusal(status: number, body: string): Error {
  return fromMesh(status, errorOf(body));
}

function errorOf(body: string): { readonly code: string; readonly message: string; readonly hint: string | undefined } {
  try {
    const { error } = JSON.parse(body) as { error?: { code?: string; message?: string; hint?: string } };
    if (error?.message !== undefined) return { code: error.code ?? "", message: error.message, hint: error.hint };
  } catch {
    // Not JSON: said as it is.
  }
  return { code: "", message: body.slice(0, 300) || "the mesh refused", hint: undefined };
}

/** A text with paths below the working directory made relative, as people wrote them. */
export function shortenPaths(cli: Cli, text: string): string {
  return text.replaceAll(`${cli.cwd}/`, "");
}

/** One path, relative when it lies below the working directory. */
export function shortPath(cli: Cli, path: string): string {
  if (!isAbsolute(path)) return path;
  const short = relative(cli.cwd, path);
  return short.startsWith("..") ? path : short;
}
