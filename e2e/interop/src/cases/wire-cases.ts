import { edgeCa, tlsSecret } from "../harness/certificates.ts";
import type { WireAsk } from "../harness/wire.ts";
import { object, SUBSETS, to, virtualService } from "./case.ts";

/** A connection whose bytes are given, and how it goes. */
export interface WireExchange extends WireAsk {
  readonly name: string;
  /** `service:port`, `gateway:port` or `inbound:port`. */
  readonly to: string;
  /** Over TLS with this name; default: in plaintext. */
  readonly sni?: string;
  /** As a workload of the mesh, over mesh mTLS. */
  readonly mesh?: boolean;
  /** First lines of the two answers where they differ by intent. */
  readonly differ?: { readonly envoy: string; readonly own: string };
}

/** Configuration, and connections under it. */
export interface WireCase {
  readonly name: string;
  readonly yaml: string;
  readonly exchanges: readonly WireExchange[];
}

const CLOSE = "Connection: close";
const head = (start: string, ...fields: readonly string[]) => [start, ...fields, "", ""].join("\r\n");
const get = (...fields: readonly string[]) => head("GET /a HTTP/1.1", "Host: web", CLOSE, ...fields);
const post = (fields: readonly string[], body: string) =>
  head("POST /a HTTP/1.1", "Host: web", CLOSE, ...fields) + body;
const CHUNKED = "Transfer-Encoding: chunked";

/** Name → bytes of one connection to an HTTP port. */
const HTTP: Readonly<Record<string, string>> = {
  "a request": get(),
  HEAD: head("HEAD /a HTTP/1.1", "Host: web", CLOSE),
  "204": get("X-Want-Status: 204"),
  "304": get("X-Want-Status: 304"),
  "HEAD of 204": head("HEAD /a HTTP/1.1", "Host: web", "X-Want-Status: 204", CLOSE),
  "an empty line first": `\r\n${get()}`,
  "no Host": head("GET /a HTTP/1.1", CLOSE),
  "an absolute target": head("GET http://web/abs?x=1 HTTP/1.1", "Host: other", CLOSE),
  "an unknown method": head("BREW /a HTTP/1.1", "Host: web", CLOSE),
  "OPTIONS *": head("OPTIONS * HTTP/1.1", "Host: web", CLOSE),
  "HTTP/1.0": head("GET /a HTTP/1.0", "Host: web"),
  "HTTP/1.2": head("GET /a HTTP/1.2", "Host: web", CLOSE),
  "a fragment": head("GET /a#b HTTP/1.1", "Host: web", CLOSE),
  "two spaces": head("GET  /a HTTP/1.1", "Host: web", CLOSE),
  "a space before the colon": get("X-A : 1"),
  "a folded field": get("X-A: 1\r\n  more"),
  "a field without a name": get(": 1"),
  "a NUL in a value": get("X-A: a\0b"),
  "a repeated field": get("X-A: 1", "X-A: 2"),
  "two equal lengths": post(["Content-Length: 4", "Content-Length: 4"], "body"),
  "two lengths": post(["Content-Length: 4", "Content-Length: 5"], "body"),
  "a negative length": post(["Content-Length: -4"], "body"),
  "a length that is no number": post(["Content-Length: 4x"], "body"),
  "length and chunks": post(["Content-Length: 4", CHUNKED], "4\r\nbody\r\n0\r\n\r\n"),
  chunks: post([CHUNKED], "2\r\nbo\r\n02\r\ndy\r\n0\r\n\r\n"),
  "chunks with extensions": post([CHUNKED], "4;a=b\r\nbody\r\n0\r\n\r\n"),
  "a chunk of no size": post([CHUNKED], "x\r\nbody\r\n0\r\n\r\n"),
  "a chunk that is longer than it says": post([CHUNKED], "3\r\nbody\r\n0\r\n\r\n"),
  "an unknown coding": post(["Transfer-Encoding: foo"], "body"),
  "a coding before chunks": post(["Transfer-Encoding: gzip, chunked"], "4\r\nbody\r\n0\r\n\r\n"),
  "Chunked in capitals": post(["Transfer-Encoding: CHUNKED"], "4\r\nbody\r\n0\r\n\r\n"),
  "100-continue": post(["Expect: 100-continue", "Content-Length: 4"], "body"),
  "CONNECT without a route": head("CONNECT other:80 HTTP/1.1", "Host: other:80", CLOSE),
  "an upgrade that is not taken": head("GET /a HTTP/1.1", "Host: web", "Upgrade: h2c", "Connection: upgrade, close"),
};

const OK = "HTTP/1.1 200 OK";
const BAD = "HTTP/1.1 400 Bad Request";
const NOT_IMPLEMENTED = "HTTP/1.1 501 Not Implemented";
const TOO_OLD = "HTTP/1.1 426 Upgrade Required";
/** Ours refuses what could be read in two ways; where the lines are the same, the answers differ in their bodies. */
const BY_INTENT: Readonly<Record<string, NonNullable<WireExchange["differ"]>>> = {
  "no Host": { envoy: BAD, own: BAD },
  "a fragment": { envoy: BAD, own: BAD },
  "an unknown method": { envoy: BAD, own: BAD },
  "HTTP/1.2": { envoy: TOO_OLD, own: BAD },
  "two spaces": { envoy: OK, own: BAD },
  "a folded field": { envoy: OK, own: BAD },
  "a chunk that is longer than it says": { envoy: OK, own: BAD },
  "an unknown coding": { envoy: NOT_IMPLEMENTED, own: BAD },
  "a coding before chunks": { envoy: NOT_IMPLEMENTED, own: BAD },
};

const onPort = (port: string): readonly WireExchange[] =>
  Object.entries(HTTP).map(([name, send]) => {
    const differ = BY_INTENT[name];
    return { name, to: port, send, ...(differ === undefined ? {} : { differ }) };
  });

const gateway = (servers: string) =>
  object("Gateway", "gw", `  selector: { istio: ingressgateway }\n  servers:\n${servers}`);
const secure = (mode: string) => `    - port: { number: 443, name: https, protocol: HTTPS }
      hosts: [secure.example]
      tls: { mode: ${mode}, credentialName: cred }
`;
const CLIENT = edgeCa.issue({ uris: ["spiffe://edge/client"] });
const overTls = (name: string, more: Partial<WireExchange> = {}): WireExchange => ({
  name,
  to: "gateway:443",
  sni: "secure.example",
  send: head("GET /a HTTP/1.1", "Host: secure.example", CLOSE),
  ...more,
});
const edge = (mode: string): WireCase => ({
  name: `a gateway's TLS: ${mode}`,
  yaml:
    SUBSETS +
    tlsSecret("cred") +
    gateway(secure(mode)) +
    virtualService(
      "secure",
      "  hosts: [secure.example]\n  gateways: [gw]\n  http: [{ route: [{ destination: { host: web, subset: v2, port: { number: 80 } } }] }]",
    ),
  exchanges: [
    overTls("without a certificate"),
    overTls("with a certificate", { certificate: CLIENT }),
    overTls("for another name", { sni: "other.example", certificate: CLIENT }),
  ],
});

/** What two proxies make of bytes, and of TLS. */
export const wireCases: readonly WireCase[] = [
  {
    name: "HTTP/1 on the wire, as a client's proxy",
    yaml: SUBSETS + virtualService("web", `  hosts: [web]\n  http:\n    - ${to("v2")}`),
    exchanges: onPort("web:80"),
  },
  { name: "HTTP/1 on the wire, as a server's proxy", yaml: "", exchanges: onPort("inbound:9080") },
  {
    name: "TCP, and ports that are told by their bytes",
    yaml: SUBSETS,
    exchanges: [
      { name: "to a TCP port", to: "legacy:7000", send: "hello", until: ":HELLO" },
      { name: "HTTP to a TCP port", to: "legacy:7000", send: get(), until: "CLOSE" },
      { name: "to the server's TCP port", to: "inbound:7000", send: "hello", until: ":HELLO" },
      {
        name: "over mesh mTLS to the server's TCP port",
        to: "inbound:7000",
        send: "hello",
        until: ":HELLO",
        mesh: true,
      },
    ],
  },
  {
    name: "a gateway's TCP",
    yaml:
      gateway('    - { port: { number: 7001, name: tcp, protocol: TCP }, hosts: ["*"] }') +
      virtualService(
        "tcp",
        '  hosts: ["*"]\n  gateways: [gw]\n  tcp: [{ route: [{ destination: { host: legacy, port: { number: 7000 } } }] }]',
      ),
    exchanges: [{ name: "bytes", to: "gateway:7001", send: "hello", until: ":HELLO" }],
  },
  edge("SIMPLE"),
  edge("MUTUAL"),
  edge("OPTIONAL_MUTUAL"),
  {
    name: "a gateway's TLS: AUTO_PASSTHROUGH",
    yaml:
      SUBSETS +
      gateway(
        '    - { port: { number: 15443, name: tls, protocol: TLS }, hosts: ["*.default.svc.cluster.local"], tls: { mode: AUTO_PASSTHROUGH } }',
      ),
    exchanges: [
      {
        name: "a version by SNI",
        to: "gateway:15443",
        sni: "outbound_.80_.v1_.web.default.svc.cluster.local",
        mesh: true,
        send: get(),
      },
      {
        name: "nobody",
        to: "gateway:15443",
        sni: "outbound_.80_.v9_.web.default.svc.cluster.local",
        mesh: true,
        send: get(),
      },
    ],
  },
];
