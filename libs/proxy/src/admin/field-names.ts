/** Fields whose content is a google.protobuf.Struct or a map of user data: names in there are not field names. */
const USER_DATA: ReadonlySet<string> = new Set(["filterMetadata", "jsonFormat", "typedJsonFormat", "labels"]);

/**
 * Envoy's admin interface spells the fields of its proto JSON as the .proto files do (`version_info`), not in lowerCamelCase. Map keys
 * that are names of something (`envoy.filters.http.rbac`, `default`) and user data stay as they are.
 */
export function protoFieldNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(protoFieldNames);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      /^[a-z][A-Za-z0-9]*$/.test(key) ? key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : key,
      isUserData(key, inner) ? inner : protoFieldNames(inner),
    ]),
  );
}

/** `metadata` of a node is a Struct; everywhere else it is an envoy.config.core.v3.Metadata. */
function isUserData(key: string, value: unknown): boolean {
  if (USER_DATA.has(key)) return true;
  return key === "metadata" && typeof value === "object" && value !== null && !("filterMetadata" in value);
}
