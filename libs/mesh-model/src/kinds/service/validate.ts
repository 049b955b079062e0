import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { checkUnique } from "../../validation/common.ts";
import { isIp } from "../../validation/ip.ts";
import { checkLabels, isDnsLabel, isHostName } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import type { serviceBody } from "./schema.ts";

/** core/v1 Service, what Kubernetes checks of the fields the mesh uses. */
export function validateService(body: Infer<typeof serviceBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  const ports = spec.ports ?? [];
  checkLabels(spec.selector, check.at("selector"));
  if (spec.type === "ExternalName") {
    if (!spec.externalName) check.error(`type ExternalName needs "externalName"`, { code: codes.missingField });
    else if (!isHostName(spec.externalName))
      check.at("externalName").error(`"${spec.externalName}" is not a host name`);
  } else if (ports.length === 0 && spec.clusterIP !== "None") {
    check.error("at least one port is required", { code: codes.missingField });
  }
  const addresses = [spec.clusterIP, ...(spec.clusterIPs ?? [])].filter((address) => address && address !== "None");
  for (const address of addresses) {
    if (address && !isIp(address)) check.at("clusterIP").error(`"${address}" is not an IP address or "None"`);
  }
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    if (!isIp(address)) check.at("externalIPs", index).error(`"${address}" is not an IP address`);
  }
  for (const [index, port] of ports.entries()) {
    const at = check.at("ports", index);
    if (port.name === undefined || port.name === "") {
      if (ports.length > 1)
        at.error("a service with several ports needs a name for each", { code: codes.missingField });
    } else if (!isDnsLabel(port.name)) at.at("name").error(`"${port.name}" is not a valid port name`);
    if (port.targetPort !== undefined && !isTargetPort(port.targetPort)) {
      at.at("targetPort").error(`${port.targetPort} is not a port number`);
    }
  }
  checkUnique(
    ports.map((port, index) => [port.name ?? "", check.at("ports", index, "name")]),
    (name) => `port name "${name}" is used twice`,
  );
  checkUnique(
    ports.map((port, index) => [`${port.protocol ?? "TCP"} ${port.port}`, check.at("ports", index, "port")]),
    (port) => `port ${port} is used twice`,
  );
}

/** A number, also as text, or the name of a container's port (RFC 6335 §5.1). */
function isTargetPort(target: number | string): boolean {
  if (typeof target === "string" && !/^\d+$/.test(target)) return isDnsLabel(target);
  return Number(target) >= 1 && Number(target) <= 65535;
}
