import { durationFromMs, type PackedAny, packAny } from "@lateen/proto";
import { Address } from "@lateen/proto/envoy/config/core/v3/address";
import { HeaderValueOption, HeaderValueOption_HeaderAppendAction } from "@lateen/proto/envoy/config/core/v3/base";
import { ApiConfigSource_ApiType, ApiVersion, ConfigSource } from "@lateen/proto/envoy/config/core/v3/config_source";
import { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { type FractionalPercent, FractionalPercent_DenominatorType } from "@lateen/proto/envoy/type/v3/percent";

export type Labels = Readonly<Record<string, string>>;

/** Whatever comes over ADS. @param waitMs how long the first answer is waited for; 0, as Istio asks: without a limit */
export function adsSource(waitMs = 0): ConfigSource {
  return ConfigSource.fromPartial({
    configSourceSpecifier: { $case: "ads", value: {} },
    initialFetchTimeout: durationFromMs(waitMs),
    resourceApiVersion: ApiVersion.V3,
  });
}

/**
 * What the agent beside a proxy serves under Istio's cluster name: keys never travel from the control plane.
 * @param waitMs as with {@link adsSource}
 */
export function agentSource(waitMs = 0): ConfigSource {
  return ConfigSource.fromPartial({
    configSourceSpecifier: {
      $case: "apiConfigSource",
      value: {
        apiType: ApiConfigSource_ApiType.GRPC,
        transportApiVersion: ApiVersion.V3,
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ targetSpecifier: { $case: "envoyGrpc", value: { clusterName: "sds-grpc" } } }],
      },
    },
    initialFetchTimeout: durationFromMs(waitMs),
    resourceApiVersion: ApiVersion.V3,
  });
}

/** A TCP address. */
export function socketAddress(address: string, port: number): Address {
  return Address.fromPartial({
    address: {
      $case: "socketAddress",
      value: { address, portSpecifier: { $case: "portValue", value: port } },
    },
  });
}

/** A percentage in [0,100] at the resolution of one in a million. */
export function fractionalPercent(percent: number): FractionalPercent {
  return {
    numerator: Math.round(percent * 10_000),
    denominator: FractionalPercent_DenominatorType.MILLION,
  };
}

/** A header that replaces others of its name, or joins them. */
export function headerOption(name: string, value: string, action: "set" | "append"): HeaderValueOption {
  return HeaderValueOption.fromPartial({
    header: { key: name, value },
    appendAction:
      action === "set"
        ? HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
        : HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD,
  });
}

/** The very value. */
export function exactly(value: string, ignoreCase = false): StringMatcher {
  return StringMatcher.fromPartial({ matchPattern: { $case: "exact", value }, ignoreCase });
}
/** Values that start so. */
export function startingWith(value: string, ignoreCase = false): StringMatcher {
  return StringMatcher.fromPartial({ matchPattern: { $case: "prefix", value }, ignoreCase });
}
/** Values that end so. */
export function endingWith(value: string, ignoreCase = false): StringMatcher {
  return StringMatcher.fromPartial({ matchPattern: { $case: "suffix", value }, ignoreCase });
}
/** RE2, the whole value. */
export function matchingRegex(regex: string, ignoreCase = false): StringMatcher {
  return StringMatcher.fromPartial({ matchPattern: { $case: "safeRegex", value: { regex } }, ignoreCase });
}

/** Splits `10.0.0.0/8`; a plain address gets its full length. */
export function cidr(text: string): { addressPrefix: string; prefixLen: number } {
  const [address = "", length] = text.split("/");
  return {
    addressPrefix: address,
    prefixLen: length === undefined ? (address.includes(":") ? 128 : 32) : Number(length),
  };
}

/** A configuration field that holds a packed message. */
export function typed<T>(
  type: { readonly $type: string; encode(message: T): { finish(): Uint8Array } },
  message: T,
): { $case: "typedConfig"; value: PackedAny } {
  return { $case: "typedConfig", value: packAny(type, message) };
}

/** Whether `labels` carry every pair of `wanted`; an empty `wanted` matches all. */
export function labelsMatch(wanted: Labels, labels: Labels): boolean {
  for (const [key, value] of Object.entries(wanted)) if (labels[key] !== value) return false;
  return true;
}

/** A copy with sorted keys, so that equal maps encode equally. */
export function sortedRecord<V>(record: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
