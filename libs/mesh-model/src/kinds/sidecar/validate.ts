import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { parseProtocol } from "../../services/protocol.ts";
import type { Check } from "../../validation/check.ts";
import { checkDestination, checkSelector, checkUnique } from "../../validation/common.ts";
import { isIp } from "../../validation/ip.ts";
import { isDnsLabel, isWildcardHost } from "../../validation/names.ts";
import { checkConnectionPool } from "../destination-rule/validate.ts";
import type { KindContext } from "../index.ts";
import type { sidecarBody } from "./schema.ts";

type Spec = Infer<typeof sidecarBody>["spec"];
type Port = NonNullable<Spec["ingress"]>[number]["port"];

/** `sun_path` of unix(7) without its end. */
const MAX_SOCKET_PATH = 107;

/** networking.istio.io Sidecar, as Istio's admission checks it. */
export function validateSidecar(body: Infer<typeof sidecarBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  checkSelector(spec.workloadSelector, "labels", check.at("workloadSelector"));
  const parts = [spec.ingress, spec.egress, spec.outboundTrafficPolicy, spec.inboundConnectionPool];
  if (parts.every((part) => part === undefined)) {
    check.error("at least one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool is required", {
      code: codes.missingField,
    });
  }
  checkIngress(spec, check);
  checkEgress(spec, check);
  checkInboundPool(spec.inboundConnectionPool, check.at("inboundConnectionPool"));
  for (const part of ["ingress", "egress"] as const) {
    for (const [index, listener] of (spec[part] ?? []).entries()) {
      if (listener.port?.targetPort === undefined) continue;
      check.at(part, index, "port", "targetPort").warn("targetPort is ignored");
    }
  }
  const { outboundTrafficPolicy: policy } = spec;
  const proxy = policy?.egressProxy;
  checkDestination(proxy, check.at("outboundTrafficPolicy", "egressProxy"));
  if (proxy !== undefined && proxy.port?.number === undefined) {
    check
      .at("outboundTrafficPolicy", "egressProxy")
      .error(`field "port.number" is required`, { code: codes.missingField });
  }
  if (proxy !== undefined && policy?.mode === "REGISTRY_ONLY") {
    check
      .at("outboundTrafficPolicy", "egressProxy")
      .error("egressProxy needs mode ALLOW_ANY", { code: codes.conflict, part: "key" });
  }
}

function checkIngress(spec: Spec, check: Check): void {
  const listeners = spec.ingress ?? [];
  // A mesh-wide or namespace-wide Sidecar cannot know what each workload serves.
  if (listeners.length > 0 && Object.keys(spec.workloadSelector?.labels ?? {}).length === 0) {
    check.at("ingress").error("ingress listeners need a workloadSelector", { code: codes.conflict, part: "key" });
  }
  for (const [index, listener] of listeners.entries()) {
    const at = check.at("ingress", index);
    checkPort(listener.port, at.at("port"));
    if (listener.bind && !isIp(listener.bind)) at.at("bind").error(`"${listener.bind}" is not an IP address`);
    if (listener.captureMode === "NONE" && !listener.bind) {
      at.at("captureMode").error("captureMode NONE needs bind: nothing else leads to the listener", {
        code: codes.conflict,
      });
    }
    checkInboundPool(listener.connectionPool, at.at("connectionPool"));
    checkIngressTls(listener.tls, at.at("tls"));
    const endpoint = listener.defaultEndpoint;
    if (endpoint && !/^(127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\]):\d{1,5}$|^unix:\/\/(\/|@)/.test(endpoint)) {
      at.at("defaultEndpoint").error(`"${endpoint}" is not an endpoint of this pod`, {
        hint: "use 127.0.0.1:port, 0.0.0.0:port or unix:///path",
      });
    }
    if (endpoint?.startsWith("unix://") && endpoint.length > "unix://".length + MAX_SOCKET_PATH) {
      at.at("defaultEndpoint").error(`a path of a Unix socket has at most ${MAX_SOCKET_PATH} characters`);
    }
  }
  checkUnique(
    listeners.map(({ port }, index) => [String(port.number), check.at("ingress", index, "port", "number")]),
    (port) => `port ${port} has two listeners`,
  );
}

/** What a sidecar could not get at, or our own proxies could not check. */
const REFUSED_INGRESS_TLS = [
  "credentialName",
  "credentialNames",
  "tlsCertificates",
  "verifyCertificateSpki",
  "verifyCertificateHash",
] as const;

/** TLS that the application's own clients speak, from files of the workload. */
function checkIngressTls(tls: NonNullable<Spec["ingress"]>[number]["tls"], check: Check): void {
  if (tls === undefined) return;
  if (tls.mode !== "SIMPLE" && tls.mode !== "MUTUAL") {
    check.at("mode").error("an ingress listener of a sidecar needs mode SIMPLE or MUTUAL");
  }
  for (const field of REFUSED_INGRESS_TLS) {
    if (tls[field]?.length) {
      check.at(field).error(`${field} is for gateways`, {
        code: codes.unsupported,
        hint: "use serverCertificate and privateKey, files of the workload",
      });
    }
  }
  if (!tls.serverCertificate || !tls.privateKey) {
    check.error("serverCertificate and privateKey are both required", { code: codes.missingField });
  }
  if (tls.mode === "MUTUAL" && !tls.caCertificates) {
    check.error("mode MUTUAL needs caCertificates", { code: codes.missingField });
  }
  if (tls.httpsRedirect) check.at("httpsRedirect").error("httpsRedirect is for gateways", { code: codes.unsupported });
  check.warn("tls is used only while mTLS of the port is off (PeerAuthentication, mode DISABLE)");
}

function checkPort(port: Port, check: Check): void {
  if (parseProtocol(port.protocol) === undefined) {
    check.at("protocol").error(`"${port.protocol}" is not a protocol`, {
      hint: "use HTTP, HTTPS, HTTP2, GRPC, TLS or TCP",
    });
  }
}

function checkEgress(spec: Spec, check: Check): void {
  const listeners = spec.egress ?? [];
  for (const [index, listener] of listeners.entries()) {
    const at = check.at("egress", index);
    if (listener.port === undefined) {
      if (index < listeners.length - 1) {
        at.error("the egress listener without port must be the last, and the only one", { code: codes.conflict });
      }
      if (listener.bind) at.at("bind").error("bind needs a listener port", { code: codes.conflict, part: "key" });
      if (listener.captureMode === "NONE") {
        at.at("captureMode").error("captureMode NONE needs a listener port", { code: codes.conflict });
      }
    } else {
      checkPort(listener.port, at.at("port"));
      if (listener.bind && !isIp(listener.bind)) at.at("bind").error(`"${listener.bind}" is not an IP address`);
    }
    checkHosts(listener.hosts, at);
  }
  checkUnique(
    listeners.flatMap(({ port }, index) =>
      port === undefined ? [] : [[String(port.number), check.at("egress", index, "port", "number")] as const],
    ),
    (port) => `port ${port} has two listeners`,
  );
}

function checkHosts(hosts: readonly string[], check: Check): void {
  if (hosts.length === 0) check.at("hosts").error("at least one host is required");
  for (const [position, host] of hosts.entries()) {
    const slash = host.indexOf("/");
    const namespace = host.slice(0, Math.max(slash, 0));
    const legal =
      slash > 0 &&
      (["*", ".", "~"].includes(namespace) || isDnsLabel(namespace)) &&
      isWildcardHost(host.slice(slash + 1));
    if (!legal) {
      check.at("hosts", position).error(`"${host}" is not of the form "namespace/host"`, {
        hint: `for example "./*", "*/*" or "prod/reviews.prod.svc.cluster.local"`,
      });
    }
  }
  if (hosts.includes("*/*") && hosts.length > 1) check.at("hosts").warn(`"*/*" makes the other hosts superfluous`);
}

/** Applications are spoken to as their clients speak. */
function checkInboundPool(pool: Spec["inboundConnectionPool"], check: Check): void {
  checkConnectionPool(pool, check);
  const upgrade = pool?.http?.h2UpgradePolicy;
  if (upgrade !== undefined && upgrade !== "DEFAULT") {
    check
      .at("http", "h2UpgradePolicy")
      .warn("h2UpgradePolicy has no effect: applications get what their clients speak");
  }
}
