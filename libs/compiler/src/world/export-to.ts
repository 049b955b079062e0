/** Whether an object of `namespace` with this `exportTo` (or the default) is seen from `client`. */
export function exportedTo(
  exportTo: readonly string[] | undefined,
  defaults: readonly string[],
  namespace: string,
  client: string,
): boolean {
  const targets = exportTo === undefined || exportTo.length === 0 ? defaults : exportTo;
  return targets.some((target) => target === "*" || (target === "." ? namespace === client : target === client));
}
