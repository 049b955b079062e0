import { stringify } from "yaml";

/** A value as YAML. It goes through JSON, so that both forms always hold the same. */
export function toYaml(value: unknown): string {
  return stringify(JSON.parse(JSON.stringify(value)), {
    lineWidth: 0,
    aliasDuplicateObjects: false,
    compat: "yaml-1.1",
  });
}
