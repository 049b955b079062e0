import type { MetadataMatchSpec, StringMatchSpec } from "@lateen/traffic";
import type { GrpcServiceSpec } from "../common/grpc-call.ts";

export const EXT_AUTHZ = "envoy.filters.http.ext_authz";

/** @see envoy.extensions.filters.http.ext_authz.v3.ExtAuthz */
export interface ExtAuthzConfig {
  readonly service: ({ readonly kind: "grpc" } & GrpcServiceSpec) | ({ readonly kind: "http" } & HttpServiceSpec);
  /** Requests go on when nobody could say whether they may. */
  readonly failureModeAllow: boolean;
  /** Those are marked with `x-envoy-auth-failure-mode-allowed`. */
  readonly failureModeAllowHeader: boolean;
  readonly statusOnError: number;
  readonly body: BodySettings | undefined;
  readonly clearRouteCache: boolean;
  /** Namespaces of dynamic metadata, and of the route's, that the service is told. */
  readonly metadataNamespaces: readonly string[];
  readonly routeMetadataNamespaces: readonly string[];
  /** Share of requests in [0,1] that are asked for. */
  readonly enabled: number;
  /** Only requests whose metadata matches are asked for. */
  readonly enabledMetadata: MetadataMatchSpec | undefined;
  /** Requests that are not asked for are refused. */
  readonly denyAtDisable: boolean;
  readonly includePeerCertificate: boolean;
  readonly includeTlsSession: boolean;
  readonly statPrefix: string;
  /** Headers that the service is told; empty: all. */
  readonly allowedHeaders: readonly StringMatchSpec[] | undefined;
  readonly disallowedHeaders: readonly StringMatchSpec[];
  readonly takesMetadata: boolean;
}

/** @see envoy.extensions.filters.http.ext_authz.v3.BufferSettings */
export interface BodySettings {
  readonly maxBytes: number;
  /** The service gets the beginning of longer bodies; otherwise these are refused. */
  readonly allowPartial: boolean;
  readonly asBytes: boolean;
}

/** @see envoy.extensions.filters.http.ext_authz.v3.HttpService */
export interface HttpServiceSpec {
  readonly cluster: string;
  readonly timeoutMs: number;
  readonly pathPrefix: string;
  readonly headersToAdd: readonly (readonly [name: string, value: string])[];
  /** Of the service's answer: what the upstream gets instead of its own, and in addition to it. */
  readonly upstream: readonly StringMatchSpec[];
  readonly upstreamAppend: readonly StringMatchSpec[];
  /** What the client gets with a refusal (undefined: everything), and when it may pass. */
  readonly client: readonly StringMatchSpec[] | undefined;
  readonly clientOnSuccess: readonly StringMatchSpec[];
  readonly metadata: readonly StringMatchSpec[];
}

/** @see envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute */
export interface ExtAuthzRouteConfig {
  readonly disabled: boolean;
  readonly contextExtensions: Readonly<Record<string, string>>;
  /** Instead of the filter's; null: the body is not read. */
  readonly body: BodySettings | null | undefined;
}
