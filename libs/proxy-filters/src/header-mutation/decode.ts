import { typeUrl } from "@lateen/proto";
import type { HeaderMutation as Mutation } from "@lateen/proto/envoy/config/common/mutation_rules/v3/mutation_rules";
import {
  HeaderMutation,
  HeaderMutationPerRoute,
  type Mutations,
} from "@lateen/proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation";
import { join, refuse } from "@lateen/proxy";
import { headerName, headerValueOption } from "../common/decode.ts";
import type { HeaderMutation as MutationSpec } from "../common/header-mutations.ts";
import type { HeaderMutationConfig } from "./config.ts";

export const HEADER_MUTATION_TYPE = typeUrl(HeaderMutation);
export const HEADER_MUTATION_ROUTE_TYPE = typeUrl(HeaderMutationPerRoute);

/** @see envoy.extensions.filters.http.header_mutation.v3.HeaderMutation */
export function decodeHeaderMutation(bytes: Uint8Array): HeaderMutationConfig {
  const message = HeaderMutation.decode(bytes);
  return { ...mutations(message.mutations), mostSpecificWins: message.mostSpecificHeaderMutationsWins };
}

/** @see envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute */
export function decodeHeaderMutationPerRoute(bytes: Uint8Array): HeaderMutationConfig {
  return { ...mutations(HeaderMutationPerRoute.decode(bytes).mutations), mostSpecificWins: false };
}

function mutations(value: Mutations | undefined): Pick<HeaderMutationConfig, "request" | "response"> {
  const { requestMutations = [], responseMutations = [] } = value ?? {};
  const at = "mutations";
  return {
    request: requestMutations.map((entry, i) => mutation(entry, join(at, `request_mutations[${i}]`))),
    response: responseMutations.map((entry, i) => {
      const where = join(at, `response_mutations[${i}]`);
      const made = mutation(entry, where);
      return made.name.startsWith(":") ? refuse(where, `${made.name} cannot be changed by this proxy`) : made;
    }),
  };
}

function mutation({ action }: Mutation, at: string): MutationSpec {
  switch (action?.$case) {
    case "remove": {
      const name = headerName(action.value, join(at, "remove"));
      if (name === "host" || name.startsWith(":")) return refuse(join(at, "remove"), `${name} cannot be removed`);
      return { kind: "remove", name };
    }
    case "append":
      return headerValueOption(action.value, join(at, "append"));
    case undefined:
      return refuse(at, "an action is required");
  }
}
