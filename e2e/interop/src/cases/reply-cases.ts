import { generateKeyPairSync } from "node:crypto";
import { httpFilter } from "../harness/stand-alone.ts";

/** A response that a proxy makes itself, and how to provoke it. */
export interface ReplyCase {
  readonly name: string;
  readonly filters?: readonly object[];
  readonly virtualHost?: object;
  /** Of the connection manager. */
  readonly more?: object;
  /** Bytes that the client sends; the default is a plain GET. */
  readonly sends?: string;
  /** The client does not wait for an answer. */
  readonly leaves?: true;
  /** Endings of details that are the transport's own words and differ. */
  readonly ownWords?: true;
}

export const REPLY_PORT = 21_400;
/** Ports behind the clusters of these cases. */
export const REPLY_BACKENDS = {
  app: 21_480,
  silent: 21_481,
  hangsUp: 21_482,
  garbles: 21_483,
  cutsOff: 21_484,
  closed: 21_485,
};

const to = (cluster: string, more: object = {}) => ({
  routes: [{ match: { prefix: "/" }, route: { cluster, ...more } }],
});
const rbac = (action: string, policies: object) => httpFilter("rbac", "rbac.v3.RBAC", { rules: { action, policies } });
const policy = (path: string) => ({
  permissions: [{ url_path: { path: { prefix: path } } }],
  principals: [{ any: true }],
});
const KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
const whole = { numerator: 100, denominator: "HUNDRED" };
const retry = { retry_on: "connect-failure,reset,5xx", num_retries: 1 };

export const replyCases: readonly ReplyCase[] = [
  { name: "no route", virtualHost: { routes: [{ match: { prefix: "/other" }, route: { cluster: "app" } }] } },
  {
    name: "answer of the route",
    virtualHost: { routes: [{ match: { prefix: "/" }, direct_response: { status: 418 } }] },
  },
  { name: "redirect", virtualHost: { routes: [{ match: { prefix: "/" }, redirect: { path_redirect: "/new" } }] } },
  { name: "redirect to https", virtualHost: { ...to("app"), require_tls: "ALL" } },
  {
    name: "no such cluster",
    more: {
      route_config: {
        name: "r",
        validate_clusters: false,
        virtual_hosts: [{ name: "v", domains: ["*"], ...to("nowhere") }],
      },
    },
  },
  { name: "no endpoints", virtualHost: to("empty") },
  { name: "response of the upstream", virtualHost: to("app") },
  { name: "overflow of pending requests", virtualHost: to("no-pending") },
  { name: "overflow of requests", virtualHost: to("no-requests") },
  { name: "connection refused", virtualHost: to("closed"), ownWords: true },
  { name: "connection refused, retried", virtualHost: to("closed", { retry_policy: retry }), ownWords: true },
  { name: "upstream closes", virtualHost: to("hangs-up") },
  { name: "upstream closes, retried", virtualHost: to("hangs-up", { retry_policy: retry }) },
  { name: "upstream speaks no HTTP", virtualHost: to("garbles"), ownWords: true },
  { name: "upstream ends within its body", virtualHost: to("cuts-off"), ownWords: true },
  { name: "timeout of the route", virtualHost: to("silent", { timeout: "0.2s" }) },
  {
    name: "timeout of a try",
    virtualHost: to("silent", { timeout: "5s", retry_policy: { ...retry, num_retries: 1, per_try_timeout: "0.1s" } }),
  },
  { name: "idle stream", virtualHost: to("silent", { timeout: "0s", idle_timeout: "0.2s" }) },
  {
    name: "request takes too long",
    virtualHost: to("app"),
    more: { request_timeout: "0.2s" },
    sends: "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 10\r\n\r\nhalf",
  },
  { name: "client leaves", virtualHost: to("silent", { timeout: "0s" }), leaves: true },
  {
    name: "abort",
    virtualHost: to("app"),
    filters: [httpFilter("fault", "fault.v3.HTTPFault", { abort: { http_status: 503, percentage: whole } })],
  },
  { name: "no ALLOW policy matches", virtualHost: to("app"), filters: [rbac("ALLOW", { "a b": policy("/x") })] },
  {
    name: "a DENY policy matches",
    virtualHost: to("app"),
    filters: [rbac("DENY", { "ns[a]-policy[b c]-rule[0]": policy("/") })],
  },
  {
    name: "too many requests",
    virtualHost: to("app"),
    filters: [
      httpFilter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", {
        stat_prefix: "l",
        token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: "3600s" },
        filter_enabled: { default_value: { numerator: 100, denominator: "HUNDRED" } },
        filter_enforced: { default_value: { numerator: 100, denominator: "HUNDRED" } },
      }),
    ],
  },
  {
    name: "no token",
    virtualHost: to("app"),
    filters: [
      httpFilter("jwt_authn", "jwt_authn.v3.JwtAuthentication", {
        providers: { p: { issuer: "i", local_jwks: { inline_string: JSON.stringify({ keys: [KEY] }) } } },
        rules: [{ match: { prefix: "/" }, requires: { provider_name: "p" } }],
      }),
    ],
  },
  {
    name: "authorizer cannot be reached",
    virtualHost: to("app"),
    filters: [
      httpFilter("ext_authz", "ext_authz.v3.ExtAuthz", {
        transport_api_version: "V3",
        grpc_service: { envoy_grpc: { cluster_name: "closed" }, timeout: "0.5s" },
      }),
    ],
  },
  {
    name: "body is too large",
    virtualHost: to("app"),
    filters: [httpFilter("buffer", "buffer.v3.Buffer", { max_request_bytes: 5 })],
    sends: "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 10\r\n\r\n0123456789",
  },
  { name: "no host", virtualHost: to("app"), sends: "GET / HTTP/1.1\r\n\r\n" },
  {
    name: "upgrade that is not allowed",
    virtualHost: to("app"),
    sends: "GET / HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  },
  {
    name: "path that cannot be normalised",
    virtualHost: to("app"),
    more: { normalize_path: true },
    sends: "GET /%00 HTTP/1.1\r\nhost: shop\r\n\r\n",
  },
  {
    name: "escaped slashes are refused",
    virtualHost: to("app"),
    more: { normalize_path: true, path_with_escaped_slashes_action: "REJECT_REQUEST" },
    sends: "GET /a%2Fb HTTP/1.1\r\nhost: shop\r\n\r\n",
  },
  {
    name: "escaped slashes are redirected",
    virtualHost: to("app"),
    more: { normalize_path: true, path_with_escaped_slashes_action: "UNESCAPE_AND_REDIRECT" },
    sends: "GET /a%2Fb HTTP/1.1\r\nhost: shop\r\n\r\n",
  },
  { name: "HTTP/1.0", virtualHost: to("app"), sends: "GET / HTTP/1.0\r\nhost: shop\r\n\r\n" },
  { name: "no HTTP", virtualHost: to("app"), sends: "hello\r\n\r\n" },
  {
    name: "two lengths",
    virtualHost: to("app"),
    sends: "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
  },
  {
    name: "length and chunks",
    virtualHost: to("app"),
    sends: "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  },
  { name: "header with a NUL", virtualHost: to("app"), sends: "GET / HTTP/1.1\r\nhost: shop\r\na: b\0c\r\n\r\n" },
  {
    name: "headers that are too large",
    virtualHost: to("app"),
    sends: `GET / HTTP/1.1\r\nhost: shop\r\na: ${"x".repeat(70_000)}\r\n\r\n`,
  },
  { name: "bad target", virtualHost: to("app"), sends: "GET shop HTTP/1.1\r\nhost: shop\r\n\r\n" },
  {
    name: "too many headers",
    virtualHost: to("app"),
    sends: `GET / HTTP/1.1\r\nhost: shop\r\n${"a: b\r\n".repeat(200)}\r\n`,
  },
  { name: "bad host", virtualHost: to("app"), sends: "GET / HTTP/1.1\r\nhost: a b\r\n\r\n" },
  { name: "no length", virtualHost: to("app"), sends: "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: x\r\n\r\n" },
  {
    name: "broken chunk",
    virtualHost: to("silent"),
    sends: "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
  },
];
