/** Makes sure that a program of the table is there; see services.mjs. */
export function ensureService(
  name: string,
  options?: { readonly install?: boolean; readonly build?: boolean },
):
  | { readonly name: string; readonly path: string; readonly version: string }
  | { readonly name: string; readonly path: undefined; readonly reason: string; readonly installable: boolean };
