import {
  type RateLimit,
  type RateLimit_Action,
  type RateLimit_Action_MetaData,
  RateLimit_Action_MetaData_Source as Source,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import type { MetadataKey } from "@lateen/proto/envoy/type/metadata/v3/metadata";
import type { RateLimitActionSpec, RateLimitSpec } from "@lateen/traffic";
import { join, onlyFields, refuse } from "./fields.ts";
import { headerMatch, queryMatch } from "./matchers.ts";

/** What requests of a route or host are counted by. `disable_key` names a runtime key, which this proxy does not have. */
export function rateLimits(limits: readonly RateLimit[], at: string): readonly RateLimitSpec[] {
  return limits.map((limit, index) => {
    const where = `${at}[${index}]`;
    onlyFields(limit, where, ["stage", "disableKey", "actions"]);
    if (limit.actions.length === 0) refuse(join(where, "actions"), "at least one is required");
    return {
      stage: limit.stage ?? 0,
      actions: limit.actions.map((action, i) => actionOf(action, join(where, `actions[${i}]`))),
    };
  });
}

/** @see envoy.config.route.v3.RateLimit.Action */
export function actionOf({ actionSpecifier: action }: RateLimit_Action, at: string): RateLimitActionSpec {
  switch (action?.$case) {
    case "sourceCluster":
    case "destinationCluster":
    case "remoteAddress":
      return { kind: action.$case };
    case "requestHeaders":
      return {
        kind: "requestHeader",
        header: action.value.headerName.toLowerCase() || refuse(join(at, "request_headers.header_name"), "required"),
        key: action.value.descriptorKey || refuse(join(at, "request_headers.descriptor_key"), "required"),
        skipIfAbsent: action.value.skipIfAbsent,
      };
    case "genericKey":
      return {
        kind: "genericKey",
        key: action.value.descriptorKey || "generic_key",
        value: action.value.descriptorValue || refuse(join(at, "generic_key.descriptor_value"), "required"),
      };
    case "headerValueMatch": {
      const { value } = action;
      return {
        kind: "headerMatch",
        key: value.descriptorKey || "header_match",
        value: value.descriptorValue || refuse(join(at, "header_value_match.descriptor_value"), "required"),
        expect: value.expectMatch ?? true,
        headers: value.headers.map((header, i) => headerMatch(header, join(at, `header_value_match.headers[${i}]`))),
      };
    }
    case "queryParameterValueMatch": {
      const { value } = action;
      const where = join(at, "query_parameter_value_match");
      return {
        kind: "queryMatch",
        key: value.descriptorKey || "query_match",
        value: value.descriptorValue || refuse(join(where, "descriptor_value"), "required"),
        expect: value.expectMatch ?? true,
        query: value.queryParameters.map((query, i) => queryMatch(query, join(where, `query_parameters[${i}]`))),
      };
    }
    case "maskedRemoteAddress":
      return {
        kind: "maskedRemoteAddress",
        v4Bits: action.value.v4PrefixMaskLen ?? 32,
        v6Bits: action.value.v6PrefixMaskLen ?? 128,
      };
    case "metadata":
      return metadata(action.value, join(at, "metadata"));
    case "dynamicMetadata":
      return metadata({ ...action.value, source: Source.DYNAMIC, skipIfAbsent: false }, join(at, "dynamic_metadata"));
    case "extension":
      return refuse(join(at, "extension"), "not supported by this proxy");
    case undefined:
      return refuse(at, "an action is required");
  }
}

function metadata(value: RateLimit_Action_MetaData, at: string): RateLimitActionSpec {
  const { namespace, path } = metadataKey(value.metadataKey, join(at, "metadata_key"));
  return {
    kind: "metadata",
    key: value.descriptorKey || refuse(join(at, "descriptor_key"), "required"),
    source: value.source === Source.ROUTE_ENTRY ? "route" : "dynamic",
    namespace,
    path,
    fallback: value.defaultValue,
    skipIfAbsent: value.skipIfAbsent,
  };
}

function metadataKey(key: MetadataKey | undefined, at: string): { namespace: string; path: readonly string[] } {
  if (key === undefined || key.key === "") return refuse(join(at, "key"), "required");
  return {
    namespace: key.key,
    path: key.path.map(({ segment }, i) => segment?.value ?? refuse(join(at, `path[${i}]`), "required")),
  };
}
