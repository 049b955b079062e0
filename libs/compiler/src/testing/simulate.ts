import type { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { type DecodeContext, type DecodeRun, decodeRun, routeTable } from "@lateen/proxy";
import { httpFilters, networkFilters } from "@lateen/proxy-filters";
import { compileRouteTable, headFrom, redirectLocation } from "@lateen/traffic";

const CONTEXT: DecodeContext = {
  httpFilters,
  networkFilters,
  readFile: (path) => Buffer.from(path),
  readEnv: () => undefined,
  systemRoots: () => "",
};

/** Decoding as our own proxies do it: what they cannot run throws. */
export const run = (): DecodeRun => decodeRun(CONTEXT);

export interface SimulatedRequest {
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What becomes of a request: `→ cluster`, `301 location`, `503 body` or `404 no route`, with what is rewritten. */
export function simulate(config: RouteConfiguration, request: SimulatedRequest): string {
  const { host, path = "/", method = "GET", headers = {} } = request;
  const head = headFrom({ method, path, authority: host, headers: Object.entries(headers) });
  const match = compileRouteTable(routeTable(config, run())).match(head, () => 0);
  const action = match?.route.action;
  if (match === undefined || action === undefined) return "404 no route";
  switch (action.kind) {
    case "direct":
      return `${action.status} ${action.body}`;
    case "redirect": {
      const { status = 0, location = "" } = redirectLocation(match.route, head, "http") ?? {};
      return `${status} ${location}`;
    }
    case "forward": {
      const clusters = match.route.clusters.map(({ cluster, spec }) =>
        match.route.clusters.length > 1 ? `${spec.weight}×${cluster}` : cluster,
      );
      const rewritten = match.route.rewrite === undefined ? "" : ` as ${match.route.rewrite(head)}`;
      return `→ ${clusters.join(" ")}${rewritten}`;
    }
  }
}
