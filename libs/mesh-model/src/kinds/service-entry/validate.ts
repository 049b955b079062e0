import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { isHttpProtocol, parseProtocol } from "../../services/protocol.ts";
import type { Check } from "../../validation/check.ts";
import { checkExportTo, checkSelector, checkUnique } from "../../validation/common.ts";
import { isCidr, isIp, isIpOrCidr } from "../../validation/ip.ts";
import { isDnsLabel, isHostName, isWildcardHost } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import { checkWorkloadEntry } from "../workload-entry/validate.ts";
import type { serviceEntryBody } from "./schema.ts";

type Spec = Infer<typeof serviceEntryBody>["spec"];
const L7: ReadonlySet<string> = new Set(["HTTP", "HTTP_PROXY", "HTTP2", "GRPC", "GRPCWeb", "HTTPS", "TLS"]);

/** networking.istio.io ServiceEntry, as Istio's admission checks it. */
export function validateServiceEntry(body: Infer<typeof serviceEntryBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  checkHosts(spec, check);
  checkAddresses(spec, check);
  checkPorts(spec, check);
  checkExportTo(spec.exportTo, check);
  checkSelector(spec.workloadSelector, "labels", check.at("workloadSelector"));
  if (spec.workloadSelector !== undefined && spec.endpoints?.length) {
    check
      .at("endpoints")
      .error("endpoints and workloadSelector exclude each other", { code: codes.conflict, part: "key" });
  }
  for (const [index, endpoint] of (spec.endpoints ?? []).entries()) {
    checkWorkloadEntry(endpoint, check.at("endpoints", index));
    for (const name of Object.keys(endpoint.ports ?? {})) {
      if (spec.ports?.some((port) => port.name === name)) continue;
      check.at("endpoints", index, "ports", name).error(`no port of this entry is named "${name}"`, { part: "key" });
    }
  }
  checkResolution(spec, check);
}

function checkHosts(spec: Spec, check: Check): void {
  if (spec.hosts.length === 0) check.at("hosts").error("at least one host is required");
  for (const [index, host] of spec.hosts.entries()) {
    if (host === "*") check.at("hosts", index).error(`host "*" alone cannot be used`);
    else if (!isWildcardHost(host)) check.at("hosts", index).error(`"${host}" is not a host name`);
  }
  checkUnique(
    spec.hosts.map((host, index) => [host.toLowerCase(), check.at("hosts", index)]),
    (host) => `host "${host}" is written twice`,
  );
}

function checkAddresses(spec: Spec, check: Check): void {
  for (const [index, address] of (spec.addresses ?? []).entries()) {
    const at = check.at("addresses", index);
    if (!isIpOrCidr(address)) at.error(`"${address}" is not an address or CIDR`);
    else if (isCidr(address) && spec.resolution !== undefined && !["NONE", "STATIC"].includes(spec.resolution)) {
      at.error(`a CIDR needs resolution NONE or STATIC, not ${spec.resolution}`, { code: codes.conflict });
    }
  }
}

function checkPorts(spec: Spec, check: Check): void {
  const ports = spec.ports ?? [];
  if (ports.length === 0) check.error("at least one port is required", { code: codes.missingField });
  for (const [index, port] of ports.entries()) {
    const at = check.at("ports", index);
    if (!isDnsLabel(port.name)) at.at("name").error(`"${port.name}" is not a valid port name`);
    const protocol = port.protocol ? parseProtocol(port.protocol) : undefined;
    if (port.protocol && protocol === undefined) {
      at.at("protocol").error(`"${port.protocol}" is not a protocol`, {
        hint: "use HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL",
      });
    }
    if (protocol !== undefined && !L7.has(protocol)) {
      if (spec.hosts.length > 1) at.error("a TCP port can serve one host only", { code: codes.conflict });
      if (!spec.addresses?.length) {
        at.warn(`TCP port ${port.number} without addresses matches every destination on that port`, {
          code: "IST0134",
        });
      }
    }
  }
  checkUnique(
    ports.map((port, index) => [port.name, check.at("ports", index, "name")]),
    (name) => `port name "${name}" is used twice`,
  );
  checkUnique(
    ports.map((port, index) => [String(port.number), check.at("ports", index, "number")]),
    (number) => `port ${number} is used twice`,
  );
}

function checkResolution(spec: Spec, check: Check): void {
  const endpoints = spec.endpoints ?? [];
  const at = check.at("endpoints");
  switch (spec.resolution ?? "NONE") {
    case "NONE":
      if (endpoints.length > 0)
        at.error("resolution NONE cannot have endpoints", { code: codes.conflict, part: "key" });
      if (spec.workloadSelector !== undefined) {
        check
          .at("workloadSelector")
          .error("resolution NONE cannot have a workloadSelector", { code: codes.conflict, part: "key" });
      }
      break;
    case "STATIC":
      for (const [index, endpoint] of endpoints.entries())
        checkStaticEndpoint(endpoint.address ?? "", spec, at.at(index));
      break;
    case "DNS":
    case "DNS_ROUND_ROBIN":
      checkDnsResolution(spec, check);
      break;
    case "DYNAMIC_DNS":
      checkDynamicDns(spec, check);
  }
}

/** The host of each request is what is resolved, so there must be requests, and nothing else to go to. */
function checkDynamicDns(spec: Spec, check: Check): void {
  for (const field of ["endpoints", "addresses"] as const) {
    if (spec[field]?.length) {
      check.at(field).error(`resolution DYNAMIC_DNS cannot have ${field}`, { code: codes.conflict, part: "key" });
    }
  }
  if (spec.workloadSelector !== undefined) {
    check
      .at("workloadSelector")
      .error("resolution DYNAMIC_DNS cannot have a workloadSelector", { code: codes.conflict, part: "key" });
  }
  for (const [index, port] of (spec.ports ?? []).entries()) {
    const protocol = parseProtocol(port.protocol ?? "");
    if (protocol !== undefined && isHttpProtocol(protocol)) continue;
    check.at("ports", index, "protocol").error("resolution DYNAMIC_DNS needs ports whose requests proxies can read", {
      code: codes.unsupported,
      hint: "use HTTP, HTTP2 or GRPC; for TLS that clients speak themselves, resolution NONE",
    });
  }
}

function checkStaticEndpoint(address: string, spec: Spec, check: Check): void {
  if (address.startsWith("unix://")) {
    if ((spec.ports ?? []).length > 1) check.error("a unix endpoint needs exactly one port", { code: codes.conflict });
  } else if (!isIp(address) && isHostName(address)) {
    check
      .at("address")
      .error("resolution STATIC needs IP addresses", { code: codes.conflict, hint: "use resolution DNS" });
  }
}

function checkDnsResolution(spec: Spec, check: Check): void {
  const endpoints = spec.endpoints ?? [];
  if (endpoints.length === 0 && spec.workloadSelector === undefined) {
    for (const [index, host] of spec.hosts.entries()) {
      if (host.startsWith("*")) {
        check.at("hosts", index).error("a wildcard host cannot be resolved by DNS", { hint: "give endpoints" });
      }
    }
  }
  for (const [index, endpoint] of endpoints.entries()) {
    if (endpoint.address?.startsWith("unix://")) {
      check.at("endpoints", index, "address").error("a unix address needs resolution STATIC", { code: codes.conflict });
    }
  }
  if (spec.resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1) {
    check.at("endpoints").error("resolution DNS_ROUND_ROBIN takes at most one endpoint", { code: codes.conflict });
  }
}
