import { typeUrl } from "@lateen/proto";
import type { Any } from "@lateen/proto/google/protobuf/any";
import { refuse } from "./fields.ts";

/** What is needed of a generated message to take it out of an Any. */
export interface Decodable<T> {
  readonly $type: string;
  decode(bytes: Uint8Array): T;
}

/** Takes `type` out of `any`; refuses another type and bytes that do not decode. */
export function unpack<T>(any: Any | undefined, type: Decodable<T>, at: string): T {
  if (any === undefined) return refuse(at, "typed_config is missing");
  if (any.typeUrl !== typeUrl(type)) return refuse(at, `unknown type ${any.typeUrl}, expected ${typeUrl(type)}`);
  return decodeBytes(any.value, type, at);
}

/** Decodes, turning malformed bytes into a refusal. */
export function decodeBytes<T>(bytes: Uint8Array, type: Decodable<T>, at: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    return refuse(at, `malformed ${type.$type}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The config of a filter, logger or transport socket: its typed_config, whichever way the oneof spells it. */
export function typedConfig(
  configType: { readonly $case: "typedConfig"; readonly value: Any } | { readonly $case: string } | undefined,
  at: string,
): Any | undefined {
  if (configType === undefined) return undefined;
  if (configType.$case === "typedConfig" && "value" in configType) return configType.value as Any;
  return refuse(at, "config_discovery is not supported by this proxy");
}
