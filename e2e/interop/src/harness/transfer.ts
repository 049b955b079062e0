import http from "node:http";
import http2 from "node:http2";
import type { Via } from "./http.ts";
import { texts } from "./scripted.ts";

/** A request in either version of HTTP. */
export interface Transfer {
  readonly version?: "1.1" | "2";
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly trailers?: Readonly<Record<string, string>>;
}

/** How it went. */
export interface Outcome {
  /** 0: no answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly trailers: Readonly<Record<string, string>>;
  /** The answer did not come to its end. */
  readonly broken: boolean;
}

const LIMIT_MS = 5_000;
const NOTHING: Outcome = { status: 0, headers: {}, body: "", trailers: {}, broken: true };

/** One request on a connection of its own. */
export function transfer(request: Transfer, via: Via): Promise<Outcome> {
  return request.version === "2" ? overHttp2(request, via) : overHttp1(request, via);
}

function overHttp1({ method = "GET", path = "/", headers, body, trailers }: Transfer, via: Via): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const request = http.request({
    host: via.host,
    port: via.port,
    method,
    path,
    headers: { host: "app", ...headers, ...(trailers === undefined ? {} : { "transfer-encoding": "chunked" }) },
    agent: false,
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  request.on("response", (response) => {
    let text = "";
    const done = (broken: boolean) =>
      resolve({
        status: response.statusCode ?? 0,
        headers: texts(response.headers),
        body: text,
        trailers: texts(response.trailers),
        broken,
      });
    response.setEncoding("latin1");
    response.on("data", (chunk: string) => {
      text += chunk;
    });
    response.on("error", () => done(true));
    response.on("end", () => done(!response.complete));
  });
  request.on("error", () => resolve(NOTHING));
  if (trailers !== undefined) {
    request.write(body ?? "");
    request.addTrailers(trailers);
    request.end();
  } else request.end(body);
  return promise;
}

function overHttp2({ method = "GET", path = "/", headers, body, trailers }: Transfer, via: Via): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const session = http2.connect(`http://${via.host}:${via.port}`);
  const over = (outcome: Outcome) => {
    clearTimeout(limit);
    resolve(outcome);
    session.destroy();
  };
  const limit = setTimeout(() => over(NOTHING), LIMIT_MS);
  session.on("error", () => over(NOTHING));
  const { host = "app", ...rest } = headers ?? {};
  const open = body !== undefined || trailers !== undefined;
  const stream = session.request(
    { ":method": method, ":path": path, ":authority": host, ":scheme": "http", ...rest },
    { endStream: !open, waitForTrailers: trailers !== undefined },
  );
  if (trailers !== undefined) stream.once("wantTrailers", () => stream.sendTrailers({ ...trailers }));
  let answer: Outcome = NOTHING;
  stream.setEncoding("latin1");
  stream.on("response", ({ ":status": status = 0, ...headers_ }) => {
    answer = { ...answer, status, headers: texts(headers_) };
  });
  stream.on("data", (chunk: string) => {
    answer = { ...answer, body: answer.body + chunk };
  });
  stream.on("trailers", (found) => {
    answer = { ...answer, trailers: texts(found) };
  });
  stream.on("error", () => {});
  stream.on("close", () => over({ ...answer, broken: stream.rstCode !== 0 }));
  if (open) stream.end(body ?? "");
  return promise;
}
