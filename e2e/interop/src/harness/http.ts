import http from "node:http";
import https from "node:https";
import { brotliDecompressSync, gunzipSync } from "node:zlib";

/** A request, as the client puts it on the wire. */
export interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Where to connect, and from which address. */
export interface Via {
  readonly host: string;
  readonly port: number;
  /** Captured clients are known by their address. */
  readonly from?: string;
  readonly agent?: http.Agent;
  readonly tls?: Tls;
}

/** TLS of a client that trusts everybody: who the server is, is not what is compared. */
export interface Tls {
  readonly serverName: string;
  readonly alpn: readonly string[];
  readonly identity?: { readonly certChainPem: string; readonly privateKeyPem: string };
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** One request on the way given; a connection that is cut or refused is status 0 with the reason as body. */
export function ask({ method = "GET", path, headers = {}, body }: Ask, via: Via): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const { tls } = via;
  const secure = tls && {
    servername: tls.serverName,
    ALPNProtocols: [...tls.alpn],
    rejectUnauthorized: false,
    ...(tls.identity === undefined ? {} : { cert: tls.identity.certChainPem, key: tls.identity.privateKeyPem }),
  };
  const request = (tls === undefined ? http : https).request({
    ...secure,
    host: via.host,
    port: via.port,
    method,
    path,
    headers,
    ...(via.from === undefined ? {} : { localAddress: via.from }),
    agent: (tls === undefined ? via.agent : undefined) ?? false,
    signal: AbortSignal.timeout(15_000),
  });
  request.on("response", (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", (error) => resolve({ status: 0, headers: {}, body: error.message }));
    response.on("end", () => {
      const body = decoded(Buffer.concat(chunks), response.headers["content-encoding"]);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    });
  });
  request.on("error", (error: NodeJS.ErrnoException) =>
    resolve({ status: 0, headers: {}, body: error.code ?? error.message }),
  );
  // Beyond that it is a tunnel.
  request.on("connect", ({ statusCode = 0, headers: answered }, socket) => {
    socket.destroy();
    resolve({ status: statusCode, headers: answered, body: "" });
  });
  request.end(body);
  return promise;
}

/** How a body was compressed is not compared, only that it was, and of what. */
function decoded(bytes: Buffer, encoding: string | undefined): string {
  if (bytes.length === 0) return "";
  if (encoding === "gzip") return gunzipSync(bytes).toString("utf8");
  return (encoding === "br" ? brotliDecompressSync(bytes) : bytes).toString("utf8");
}

/** GET over a Unix socket, or of an address. */
export function read(target: http.RequestOptions): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = http.request({ ...target, agent: false }, (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      text += chunk;
    });
    response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
  });
  request.on("error", reject);
  request.end();
  return promise;
}
