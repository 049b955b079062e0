import {
  RedirectAction,
  RedirectAction_RedirectResponseCode,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import type { ReplacedPath } from "./path-segments.ts";
import type { RouteContext } from "./route-context.ts";
import type { HttpRule } from "./route-match.ts";

/** A redirect of a rule. Default code 301; the query is kept. `path` is what a prefix of whole segments is replaced by. */
export function redirectAction(
  redirect: NonNullable<HttpRule["redirect"]>,
  context: RouteContext,
  path?: ReplacedPath,
): RedirectAction {
  const port = redirectPort(redirect, context);
  return RedirectAction.fromPartial({
    hostRedirect: redirect.authority ?? "",
    ...(redirect.scheme ? { schemeRewriteSpecifier: { $case: "schemeRedirect", value: redirect.scheme } } : {}),
    ...(port === undefined ? {} : { portRedirect: port }),
    ...(path?.regex !== undefined
      ? { pathRewriteSpecifier: { $case: "regexRewrite", value: path.regex } }
      : redirect.prefixRewrite !== undefined
        ? { pathRewriteSpecifier: { $case: "prefixRewrite", value: path?.prefix ?? redirect.prefixRewrite } }
        : redirect.uri !== undefined
          ? { pathRewriteSpecifier: { $case: "pathRedirect", value: redirect.uri } }
          : {}),
    responseCode: redirectCode(redirect.redirectCode),
  });
}

/** The port to name; none when it is the scheme's own, which Envoy leaves away by itself. */
function redirectPort(redirect: NonNullable<HttpRule["redirect"]>, context: RouteContext): number | undefined {
  const wanted = redirect.port ?? (redirect.derivePort === "FROM_REQUEST_PORT" ? context.port : undefined);
  const scheme = redirect.scheme || (context.secure ? "https" : "http");
  const own = scheme === "https" ? 443 : 80;
  return wanted === own ? undefined : wanted;
}

function redirectCode(code: number | undefined): RedirectAction_RedirectResponseCode {
  const known = RedirectAction_RedirectResponseCode;
  switch (code) {
    case 302:
      return known.FOUND;
    case 303:
      return known.SEE_OTHER;
    case 307:
      return known.TEMPORARY_REDIRECT;
    case 308:
      return known.PERMANENT_REDIRECT;
    default:
      return known.MOVED_PERMANENTLY;
  }
}
