import type { HeaderMutation } from "../common/header-mutations.ts";

export const HEADER_MUTATION = "envoy.filters.http.header_mutation";

/** Changes of heads, of a filter or of a route. @see envoy.extensions.filters.http.header_mutation.v3.HeaderMutation */
export interface HeaderMutationConfig {
  readonly request: readonly HeaderMutation[];
  readonly response: readonly HeaderMutation[];
  /** Changes of routes come last, after those of their virtual host; otherwise first. Filters only. */
  readonly mostSpecificWins: boolean;
}
