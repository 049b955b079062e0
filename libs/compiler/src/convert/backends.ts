import type { Problem } from "./conditions.ts";
import type { HttpRule, TcpRule } from "./fragments.ts";
import { type HttpFilter, headersOf } from "./http-filters.ts";
import { INVALID_HOST } from "./names.ts";
import { type BackendRef, type Referrer, resolveBackend } from "./references.ts";
import type { ConvertWorld } from "./world.ts";

type WeightedRef = BackendRef & { readonly weight?: number; readonly filters?: readonly HttpFilter[] };
type Destination = NonNullable<HttpRule["route"]>[number];

/** Destinations of a rule: what cannot be used stays with its weight, as a place where requests fail. */
export interface ConvertedBackends {
  /** Empty when no request can be served. */
  readonly route: readonly Destination[];
  readonly problems: readonly Problem[];
}

/** Resolves weighted backends. The default weight is 1, and weight 0 gets nothing. */
export function convertBackends(refs: readonly WeightedRef[], from: Referrer, world: ConvertWorld): ConvertedBackends {
  const problems: Problem[] = [];
  const route: Destination[] = [];
  let usable = false;
  for (const ref of refs) {
    const backend = resolveBackend(world, from, ref);
    if (!backend.ok) problems.push(backend.problem);
    const { weight = 1, filters = [] } = ref;
    if (weight === 0) continue;
    usable ||= backend.ok;
    const headers = headersOf(filters);
    route.push({
      destination: backend.ok ? backend.destination : { host: INVALID_HOST, port: { number: ref.port ?? 80 } },
      weight,
      ...(headers === undefined ? {} : { headers }),
    });
  }
  return { route: usable ? route : [], problems };
}

/** Where connections go; one that nobody can serve is closed. */
export function l4Destinations({ route }: ConvertedBackends): NonNullable<TcpRule["route"]> {
  if (route.length === 0) return [{ destination: { host: INVALID_HOST, port: { number: 80 } } }];
  return route.map(({ destination, weight = 1 }) => ({ destination, weight }));
}
