import type { Ask } from "../harness/http.ts";

/** What generated requests are drawn from; every combination may occur. */
export interface Domain {
  /** `service:port` that the client connects to; at a gateway or a workload `gateway:80` or `inbound:9080`. */
  readonly to: readonly string[];
  /** Default: the service's own short name. */
  readonly hosts?: readonly string[];
  readonly methods?: readonly string[];
  readonly paths: readonly string[];
  /** Each entry is one request's extra headers. */
  readonly headers?: readonly Readonly<Record<string, string>>[];
  /** Who asks; see {@link Client}. Default `plain`. */
  readonly as?: readonly Client[];
}

/** A client without TLS, with TLS, or with a certificate of the mesh for this service account. */
export type Client = "plain" | "tls" | { readonly namespace: string; readonly serviceAccount: string };

/** Configuration, and the requests with which two proxies are compared under it. */
export interface Case {
  readonly name: string;
  readonly yaml: string;
  readonly requests: Domain;
  /** Requests may reach any endpoint of a service: which one is not compared. */
  readonly pool?: boolean;
}

/** A small deterministic generator (mulberry32), so that a failing request can be drawn again. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** One request of a case, and where it goes. */
export interface Drawn {
  readonly service: string;
  readonly port: number;
  readonly ask: Ask;
  readonly as: Client;
}

/** The first requests go through the domain's lists in step, so that each entry occurs; the rest are drawn by chance. */
export function draw(domain: Domain, count: number): readonly Drawn[] {
  const random = generator(7);
  return Array.from({ length: count }, (_, index) => {
    const pick = <T>(list: readonly T[], stride: number): T => {
      const at = index < 20 ? Math.floor(index / stride) + index : Math.floor(random() * list.length);
      return list[at % list.length] as T;
    };
    const [service = "", port = "80"] = pick(domain.to, 1).split(":");
    const host = domain.hosts === undefined ? service : pick(domain.hosts, 1);
    const method = pick(domain.methods ?? ["GET"], 3);
    const headers = { host, ...pick(domain.headers ?? [{}], 2) };
    const body = method === "POST" || method === "PUT" ? "some text" : undefined;
    const path = pick(domain.paths, 1);
    const as = pick<Client>(domain.as ?? ["plain"], 1);
    return { service, port: Number(port), as, ask: { method, path, headers, ...(body === undefined ? {} : { body }) } };
  });
}

/** Metadata of an object in `default`. */
const named = (name: string) => `metadata: { name: ${name}, namespace: default }`;

/** A VirtualService of `default`; `spec` is YAML below `spec:`, indented by two. */
export function virtualService(name: string, spec: string): string {
  return `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n${named(name)}\nspec:\n${spec}\n`;
}

export function object(kind: string, name: string, spec: string): string {
  const group = ["PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"].includes(kind)
    ? "security"
    : "networking";
  return `---\napiVersion: ${group}.istio.io/v1\nkind: ${kind}\n${named(name)}\nspec:\n${spec}\n`;
}

/** The three versions of `web` as subsets. */
export const SUBSETS = object(
  "DestinationRule",
  "web",
  `  host: web
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
    - { name: v3, labels: { version: v3 } }`,
);

/** A route to one subset of `web`. */
export const to = (subset: string) => `route: [{ destination: { host: web, subset: ${subset} } }]`;
