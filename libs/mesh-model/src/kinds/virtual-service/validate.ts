import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { shortHostToFqdn } from "../../services/hosts.ts";
import type { Check } from "../../validation/check.ts";
import { checkDestination, checkExportTo, checkGateways, checkUnique, checkWeights } from "../../validation/common.ts";
import { isIpOrCidr } from "../../validation/ip.ts";
import { isWildcardHost } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import { checkHttpRoutes } from "./http-route.ts";
import type { virtualServiceBody } from "./schema.ts";

type Spec = Infer<typeof virtualServiceBody>["spec"];
type L4Match = NonNullable<NonNullable<Spec["tcp"]>[number]["match"]>[number];

/** networking.istio.io VirtualService, as Istio's admission checks it. */
export function validateVirtualService(body: Infer<typeof virtualServiceBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  if (isDelegate(spec)) checkDelegate(spec, check);
  else checkHosts(spec, context.metadata.namespace, check);
  checkGateways(spec.gateways, check);
  checkExportTo(spec.exportTo, check);
  if (!spec.http?.length && !spec.tls?.length && !spec.tcp?.length) {
    check.error("at least one of http, tls, tcp is required", { code: codes.missingField });
  }
  checkHttpRoutes(spec.http ?? [], check.at("http"));
  checkTlsRoutes(spec, check);
  checkTcpRoutes(spec, check);
}

/** A virtual service without hosts is a part of others, which name it as their delegate. */
function isDelegate(spec: Spec): boolean {
  return (spec.hosts ?? []).length === 0 && (spec.http ?? []).length > 0;
}

function checkDelegate(spec: Spec, check: Check): void {
  for (const field of ["gateways", "tls", "tcp"] as const) {
    if (spec[field]?.length) {
      check.at(field).error(`${field} needs hosts: a virtual service without hosts is a delegate of others`, {
        code: codes.missingField,
        part: "key",
      });
    }
  }
  for (const [index, rule] of (spec.http ?? []).entries()) {
    if (rule.delegate === undefined) continue;
    check.at("http", index, "delegate").error("a delegate cannot delegate further", { code: codes.conflict });
  }
}

function checkHosts(spec: Spec, namespace: string, check: Check): void {
  const hosts = spec.hosts ?? [];
  if (hosts.length === 0) check.error(`field "hosts" is required`, { code: codes.missingField });
  const onMesh = spec.gateways === undefined || spec.gateways.length === 0 || spec.gateways.includes("mesh");
  for (const [index, host] of hosts.entries()) {
    const at = check.at("hosts", index);
    if (!isWildcardHost(host)) at.error(`"${host}" is not a host name`);
    else if (host === "*" && onMesh) {
      at.error(`host "*" cannot be used inside the mesh`, {
        hint: "name a gateway in spec.gateways, or name the host",
      });
    }
  }
  checkUnique(
    hosts.map((host, index) => [shortHostToFqdn(host, namespace), check.at("hosts", index)]),
    (host) => `host "${host}" is named twice`,
  );
}

function checkTlsRoutes(spec: Spec, check: Check): void {
  const hosts = (spec.hosts ?? []).map((host) => host.toLowerCase());
  const known: KnownHosts = { exact: new Set(hosts), wildcards: hosts.filter((host) => host.startsWith("*")) };
  for (const [index, route] of (spec.tls ?? []).entries()) {
    const at = check.at("tls", index);
    if (route.match.length === 0) at.at("match").error("a tls route needs a match", { code: codes.missingField });
    for (const [number, match] of route.match.entries()) {
      const inMatch = at.at("match", number);
      if (match.sniHosts.length === 0) inMatch.at("sniHosts").error("at least one host is required");
      for (const [position, sni] of match.sniHosts.entries()) checkSni(sni, known, inMatch.at("sniHosts", position));
      checkL4Match(match, inMatch);
    }
    checkL4Route(route.route, at);
  }
}

interface KnownHosts {
  readonly exact: ReadonlySet<string>;
  readonly wildcards: readonly string[];
}

function checkSni(sni: string, known: KnownHosts, check: Check): void {
  if (!isWildcardHost(sni)) {
    check.error(`"${sni}" is not a host name`);
    return;
  }
  const name = sni.toLowerCase();
  const covered = known.exact.has(name) || known.wildcards.some((host) => covers(host, name));
  if (!covered) check.error(`SNI host "${sni}" is not covered by spec.hosts`, { code: codes.conflict });
}

/** Whether every name the inner pattern covers is covered by the outer one. */
function covers(outer: string, inner: string): boolean {
  if (outer === inner || outer === "*") return true;
  return outer.startsWith("*") && inner.replace(/^\*/, "").endsWith(outer.slice(1)) && inner.length >= outer.length;
}

function checkTcpRoutes(spec: Spec, check: Check): void {
  for (const [index, route] of (spec.tcp ?? []).entries()) {
    const at = check.at("tcp", index);
    for (const [number, match] of (route.match ?? []).entries()) {
      checkL4Match(match, at.at("match", number));
      if (match.sourceSubnet) {
        at.at("match", number, "sourceSubnet").error(
          "sourceSubnet is not supported by any proxy; it would be ignored",
          {
            code: codes.unsupported,
          },
        );
      }
    }
    checkL4Route(route.route, at);
  }
}

function checkL4Match(match: Omit<L4Match, "sourceSubnet">, check: Check): void {
  for (const [index, subnet] of (match.destinationSubnets ?? []).entries()) {
    if (!isIpOrCidr(subnet)) check.at("destinationSubnets", index).error(`"${subnet}" is not an address or CIDR`);
  }
  checkGateways(match.gateways, check);
}

function checkL4Route(route: NonNullable<Spec["tcp"]>[number]["route"], check: Check): void {
  if (route === undefined || route.length === 0) {
    check.error(`field "route" is required`, { code: codes.missingField });
    return;
  }
  for (const [index, target] of route.entries()) {
    checkDestination(target.destination, check.at("route", index, "destination"));
  }
  checkWeights(route, check.at("route"));
}
