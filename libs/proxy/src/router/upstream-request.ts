import type { CompiledWeightedCluster, ForwardSpec, RequestHash } from "@lateen/traffic";
import type { EditList } from "../http1/edit-list.ts";
import type { HeadPool, Http1Head } from "../http1/head.ts";
import { parseRequestHead } from "../http1/parse-head.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import type { ExchangeState } from "./exchange-state.ts";
import { Mirror } from "./mirror.ts";
import type { Forwarding } from "./steering.ts";

/** Applies the route's header edits, then its authority and path; what was asked for is told upstream, as Envoy does. */
export function rewriteRequest(
  exchange: ExchangeState,
  weighted: CompiledWeightedCluster,
  { forwardedHost }: Pick<ForwardSpec, "forwardedHost">,
): void {
  const { head, requestEdits, match } = exchange;
  if (!weighted.requestEdits.empty) weighted.requestEdits.apply(requestEdits, exchange.resolve);
  const tells = !exchange.host.spec.suppressEnvoyHeaders;
  const rewrite = match?.route.rewrite;
  if (rewrite !== undefined) {
    const original = head.pathText;
    const path = rewrite(head);
    requestEdits.path(path.startsWith("/") ? path : `/${path}`);
    if (tells) requestEdits.set("x-envoy-original-path", original);
  }
  if (weighted.hostRewrite !== undefined) {
    const original = head.authorityText;
    if (forwardedHost) requestEdits.set("x-forwarded-host", hostsAsked(head.textOf("x-forwarded-host"), original));
    requestEdits.authority(weighted.hostRewrite);
    if (tells && original !== weighted.hostRewrite) requestEdits.set("x-envoy-original-host", original);
  }
}

/** As Envoy does, not twice in a row. */
function hostsAsked(known: string | undefined, asked: string): string {
  if (!known) return asked;
  return known.split(",").at(-1)?.trim() === asked ? known : `${known},${asked}`;
}

/** Starts the mirrors of a forward whose request is ready to be written. A mirror without an endpoint is left out. */
export function startMirrors(exchange: ExchangeState, action: ForwardSpec): readonly Mirror[] {
  const { plan, random } = exchange.host.context;
  return action.mirrors.flatMap((spec) => {
    if (spec.fraction < 1 && random() >= spec.fraction) return [];
    const cluster = plan.cluster(spec.cluster);
    const endpoint = cluster?.pick();
    if (cluster === undefined || endpoint === undefined) return [];
    const lines = exchange.requestEdits.lines();
    const { secure, info } = exchange;
    const attemptCount = exchange.match?.virtualHost.spec.includeAttemptCount ?? false;
    const { timeoutMs } = action;
    const mirror = new Mirror(exchange.head, { cluster, endpoint, info, lines, attemptCount, secure, timeoutMs });
    mirror.start();
    return [mirror];
  });
}

/** What stands for the client on a hash ring; a cookie that had to be made goes out with the response. */
export function hashOf(exchange: ExchangeState): RequestHash | undefined {
  const { match } = exchange;
  if (match?.route.hash === undefined) return undefined;
  const { random } = exchange.host.context;
  const word = () =>
    Math.floor(random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, "0");
  const client = { address: exchange.remoteAddress, cookieValue: () => word() + word() };
  return match.route.hash(exchange.head, client);
}

/**
 * Where attempts of one request go: as the cluster says.
 * @param asked authority as the client sent it, for clusters that follow it.
 */
export function picker(
  cluster: Cluster,
  { info, asked, retry, hash }: PickFacts,
): (tried: readonly Endpoint[]) => Endpoint | undefined {
  switch (cluster.spec.discovery) {
    case "dynamicForward":
      return () => cluster.hostOf(asked);
    case "originalDst":
      return () => cluster.originalDestination(info.destinationAddress, info.destinationPort);
    default: {
      const attempts = retry?.avoidPreviousHosts ? retry.hostSelectionMaxAttempts : 1;
      const avoidPriorities = retry?.avoidPreviousPriorities ?? false;
      return (tried) => cluster.pick({ tried, attempts, hash, avoidPriorities });
    }
  }
}

interface PickFacts {
  readonly info: ConnectionInfo;
  readonly asked: string;
  readonly retry: Forwarding["retry"];
  readonly hash: RequestHash["hash"] | undefined;
}

/** The head with its edits as one of its own, for whoever has to look at both; undefined: there are none. */
export function editedHead(heads: HeadPool, head: Http1Head, edits: EditList): Http1Head | undefined {
  if (edits.isEmpty) return undefined;
  let text = `${head.methodText} ${head.pathText} HTTP/1.1\r\nhost: ${head.authorityText}\r\n`;
  for (let i = 0; i < head.count; i++) {
    if (head.drop[i] === 0 && head.nameText(i) !== "host") text += `${head.nameText(i)}: ${head.valueText(i)}\r\n`;
  }
  const bytes = Buffer.from(`${text}${edits.lines()}\r\n`, "latin1");
  const made = heads.take();
  if (parseRequestHead(bytes, 0, bytes.length, made) !== bytes.length) {
    heads.give(made);
    return undefined;
  }
  made.adopt(bytes, 0);
  return made;
}
