import type { RouteActionSpec } from "@lateen/traffic";
import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";

/**
 * The upgrade a request wants and gets passed on, undefined for none. It is passed on only when manager or route allow it; `h2c` is
 * simply not offered to the upstream (RFC 9110 §7.8).
 */
export function upgradeOf(
  head: Http1Head,
  { upgrades }: HttpConnectionManagerSpec,
  action: RouteActionSpec | undefined,
): { readonly protocol: string } | "refused" | undefined {
  if (head.isConnect) return "refused";
  if (!head.connectionUpgrade) return undefined;
  const protocol = head.knownText(K.upgrade)?.toLowerCase();
  if (protocol === undefined || protocol === "h2c") return undefined;
  const allowed = upgrades.includes(protocol) || (action?.kind === "forward" && action.upgrades.includes(protocol));
  return allowed ? { protocol } : "refused";
}
