/** RESPONSE_CODE_DETAILS of a denial; white space in policy names becomes `_`, as Envoy writes it. */
export function deniedDetails(policy: string | undefined): string {
  return `rbac_access_denied_matched_policy[${(policy ?? "none").replaceAll(/\s/g, "_")}]`;
}
