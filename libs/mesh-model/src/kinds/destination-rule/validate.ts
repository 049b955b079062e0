import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkDuration, checkExportTo, checkSelector, checkUnique } from "../../validation/common.ts";
import { isIp } from "../../validation/ip.ts";
import { checkLabels, isDnsLabel, isHostName, isWildcardHost } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import { checkLoadBalancer } from "./load-balancer.ts";
import type { destinationRuleBody, trafficPolicy } from "./schema.ts";

type Policy = Infer<typeof trafficPolicy>;
const BLOCKS = ["loadBalancer", "connectionPool", "outlierDetection", "tls"] as const;
/** Of a destination or subset, not of a port. */
const WHOLE = ["tunnel", "proxyProtocol", "retryBudget"] as const;
type Blocks = Pick<Policy, (typeof BLOCKS)[number]>;

/** networking.istio.io DestinationRule, as Istio's admission checks it. */
export function validateDestinationRule(body: Infer<typeof destinationRuleBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  if (!isWildcardHost(spec.host)) check.at("host").error(`"${spec.host}" is not a host name`);
  checkExportTo(spec.exportTo, check);
  checkSelector(spec.workloadSelector, "matchLabels", check.at("workloadSelector"));
  checkPolicy(spec.trafficPolicy, check.at("trafficPolicy"));
  const subsets = spec.subsets ?? [];
  for (const [index, subset] of subsets.entries()) {
    const at = check.at("subsets", index);
    if (!isDnsLabel(subset.name)) at.at("name").error(`"${subset.name}" is not a valid subset name`);
    checkLabels(subset.labels, at.at("labels"));
    checkPolicy(subset.trafficPolicy, at.at("trafficPolicy"));
  }
  checkUnique(
    subsets.map((subset, index) => [subset.name, check.at("subsets", index, "name")]),
    (name) => `subset "${name}" is defined twice`,
  );
}

function checkPolicy(policy: Policy | undefined, check: Check): void {
  if (policy === undefined) return;
  const ports = policy.portLevelSettings ?? [];
  if ([...BLOCKS, ...WHOLE].every((block) => policy[block] === undefined) && ports.length === 0) {
    check.error("a traffic policy needs at least one setting", { code: codes.missingField });
  }
  checkBlocks(policy, check, "IST0128");
  const { tunnel } = policy;
  if (tunnel !== undefined && !isIp(tunnel.targetHost) && !isHostName(tunnel.targetHost)) {
    check.at("tunnel", "targetHost").error(`"${tunnel.targetHost}" is not a host name or address`);
  }
  for (const [index, port] of ports.entries()) {
    const at = check.at("portLevelSettings", index);
    if (port.port?.number === undefined) at.error(`field "port.number" is required`, { code: codes.missingField });
    if (BLOCKS.every((block) => port[block] === undefined)) {
      at.error("a port's settings need at least one setting", { code: codes.missingField });
    }
    checkBlocks(port, at, "IST0129");
  }
  checkUnique(
    ports.map((port, index) => [String(port.port?.number), check.at("portLevelSettings", index, "port")]),
    (port) => `port ${port} has settings twice`,
  );
}

/** `unverified`: Istio's code for TLS without verification, which tells the levels apart. */
function checkBlocks(policy: Blocks, check: Check, unverified: "IST0128" | "IST0129"): void {
  checkLoadBalancer(policy.loadBalancer, check.at("loadBalancer"));
  checkConnectionPool(policy.connectionPool, check.at("connectionPool"));
  checkOutlierDetection(policy.outlierDetection, check.at("outlierDetection"));
  checkTls(policy.tls, check.at("tls"), unverified);
}

/** ConnectionPoolSettings. */
export function checkConnectionPool(pool: Blocks["connectionPool"], check: Check): void {
  if (pool === undefined) return;
  if (pool.tcp === undefined && pool.http === undefined) check.error("a connection pool needs tcp or http settings");
  const { tcp, http } = pool;
  checkDuration(tcp?.connectTimeout, check.at("tcp", "connectTimeout"));
  checkDuration(tcp?.maxConnectionDuration, check.at("tcp", "maxConnectionDuration"));
  checkDuration(tcp?.idleTimeout, check.at("tcp", "idleTimeout"), true);
  checkDuration(tcp?.tcpKeepalive?.time, check.at("tcp", "tcpKeepalive", "time"));
  checkDuration(tcp?.tcpKeepalive?.interval, check.at("tcp", "tcpKeepalive", "interval"));
  checkDuration(http?.idleTimeout, check.at("http", "idleTimeout"), true);
  const { interval, timeout } = http?.http2KeepAlive ?? {};
  checkDuration(interval, check.at("http", "http2KeepAlive", "interval"));
  checkDuration(timeout, check.at("http", "http2KeepAlive", "timeout"));
  if (http?.useClientProtocol === true && http.h2UpgradePolicy === "UPGRADE") {
    check
      .at("http", "useClientProtocol")
      .error("useClientProtocol excludes h2UpgradePolicy: UPGRADE", { code: codes.conflict });
  }
}

function checkOutlierDetection(outlier: Blocks["outlierDetection"], check: Check): void {
  if (outlier === undefined) return;
  checkDuration(outlier.interval, check.at("interval"));
  checkDuration(outlier.baseEjectionTime, check.at("baseEjectionTime"));
  if (outlier.consecutiveErrors !== undefined) {
    const at = check.at("consecutiveErrors");
    if (outlier.consecutive5xxErrors !== undefined) {
      at.error("consecutiveErrors and consecutive5xxErrors exclude each other", { code: codes.conflict });
    } else at.warn("consecutiveErrors is deprecated", { code: "IST0002", hint: "use consecutive5xxErrors" });
  }
  if (outlier.consecutiveLocalOriginFailures !== undefined && outlier.splitExternalLocalOriginErrors !== true) {
    check
      .at("consecutiveLocalOriginFailures")
      .error("consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true", { code: codes.conflict });
  }
}

function checkTls(tls: Blocks["tls"], check: Check, unverified: string): void {
  if (tls === undefined) return;
  if (tls.mode === "MUTUAL" && !tls.credentialName && (!tls.clientCertificate || !tls.privateKey)) {
    check.error("mode MUTUAL needs clientCertificate and privateKey, or credentialName", { code: codes.missingField });
  }
  // TLS has a byte for its length (RFC 6066 §3), and Envoy refuses what cannot be a name.
  if (tls.sni !== undefined && !/^[!-~]{0,255}$/.test(tls.sni)) check.at("sni").error("it is not a server name");
  if (tls.credentialName) {
    for (const field of ["clientCertificate", "privateKey", "caCertificates"] as const) {
      if (tls[field]) check.at(field).error(`${field} excludes credentialName`, { code: codes.conflict, part: "key" });
    }
  }
  if (tls.insecureSkipVerify === true) {
    for (const field of ["caCertificates", "subjectAltNames"] as const) {
      if (tls[field]?.length)
        check.at(field).error(`${field} has no meaning with insecureSkipVerify`, { code: codes.conflict });
    }
  }
  if (originates(tls.mode) && !tls.caCertificates && !tls.credentialName && !tls.insecureSkipVerify) {
    check.warn("without caCertificates the machine's root certificates are trusted", { code: unverified });
  }
}

function originates(mode: NonNullable<Blocks["tls"]>["mode"]): boolean {
  return mode === "SIMPLE" || mode === "MUTUAL";
}
