import type { Gateway } from "../kinds/index.ts";
import { labelsMatch } from "../services/endpoints.ts";
import { append } from "./group.ts";
import { formatLabels } from "./selectors.ts";
import type { Report } from "./types.ts";
import type { AnalysisWorld } from "./world.ts";

type Server = NonNullable<Gateway["spec"]["servers"]>[number];

/** Gateways without workload, with a credential that is not there, or in each other's way. */
export function analyzeGateways(world: AnalysisWorld, report: Report): void {
  const claims = new Map<string, { readonly gateway: Gateway; readonly index: number }[]>();
  const certificates = new Map<string, Gateway[]>();
  for (const gateway of world.all("Gateway")) {
    const selector = gateway.spec.selector ?? {};
    const selective = Object.keys(selector).length > 0;
    if (selective && world.selected(selector, undefined).length === 0) {
      const message = `Referenced selector not found: "${formatLabels(selector)}"`;
      report(gateway, "IST0101", ["spec", "selector"], message, "the local mesh has istio: ingressgateway");
    }
    for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
      checkServicePort(gateway, index, server, world, report);
      checkCredential(gateway, index, server, world, report);
      for (const host of server.hosts) {
        append(claims, `${formatLabels(selector)}|${server.port.number}|${bareHost(host)}`, { gateway, index });
      }
      const { credentialName } = server.tls ?? {};
      if (credentialName) appendOnce(certificates, `${formatLabels(selector)}|${credentialName}`, gateway);
    }
  }
  reportConflicts(claims, report);
  reportSharedCertificates(certificates, report);
}

function bareHost(host: string): string {
  return host.slice(host.indexOf("/") + 1).toLowerCase();
}

/** A Service in front of the gateway's pods must pass the port on, where there is such a Service. */
function checkServicePort(gateway: Gateway, index: number, server: Server, world: AnalysisWorld, report: Report): void {
  const selector = gateway.spec.selector ?? {};
  if (Object.keys(selector).length === 0) return;
  // The gateways a local mesh brings along serve every port, whatever their Service lists.
  const declared = world.selected(selector, undefined).filter((workload) => workload.source !== undefined);
  const fronts = declared.flatMap((workload) =>
    world.all("Service").filter((service) => {
      const wanted = service.spec.selector ?? {};
      if (service.metadata.namespace !== workload.namespace || Object.keys(wanted).length === 0) return false;
      return labelsMatch(wanted, workload.labels);
    }),
  );
  if (fronts.length === 0) return;
  const { number } = server.port;
  const passes = fronts.some((service) =>
    (service.spec.ports ?? []).some((port) => port.port === number || port.targetPort === number),
  );
  if (passes) return;
  const message = `The gateway is listening on a target port (port ${number}) that is not defined in the Service associated with its workload instances (Pod selector ${formatLabels(selector)})`;
  report(gateway, "IST0162", ["spec", "servers", index, "port", "number"], message);
}

/** The secret is looked for where the gateway's workload runs; `namespace/name` says so itself. */
function checkCredential(gateway: Gateway, index: number, server: Server, world: AnalysisWorld, report: Report): void {
  const { credentialName } = server.tls ?? {};
  if (!credentialName) return;
  const namespaces = new Set(world.selected(gateway.spec.selector ?? {}, undefined).map((found) => found.namespace));
  const secrets = world
    .all("Secret")
    .filter((secret) => secret.metadata.name === credentialName && namespaces.has(secret.metadata.namespace));
  const path = ["spec", "servers", index, "tls", "credentialName"] as const;
  if (namespaces.size === 0) return;
  if (secrets.length === 0) {
    const where = [...namespaces].join(", ");
    report(
      gateway,
      "IST0101",
      path,
      `Referenced credentialName not found: "${credentialName}"`,
      `a Secret of this name must be in namespace ${where}`,
    );
    return;
  }
  const complete = secrets.some(({ data = {} }) => (data["tls.crt"] && data["tls.key"]) || (data.cert && data.key));
  if (complete) return;
  const message = `The credential referenced by the Gateway ${gateway.metadata.name} in namespace ${gateway.metadata.namespace} is invalid, which can cause the traffic not to work as expected.`;
  report(gateway, "IST0161", path, message, "the Secret needs tls.crt and tls.key");
}

function reportConflicts(
  claims: ReadonlyMap<string, readonly { readonly gateway: Gateway; readonly index: number }[]>,
  report: Report,
): void {
  for (const [key, list] of claims) {
    const gateways = [...new Set(list.map(({ gateway }) => gateway))];
    if (gateways.length < 2) continue;
    const [selector = "", port = "", host = ""] = key.split("|");
    for (const { gateway, index } of list) {
      const others = gateways.filter((other) => other !== gateway).map((other) => other.metadata.name);
      const message = `Conflict with gateways ${others.join(",")} (workload selector ${selector}, port ${port}, hosts ${host}).`;
      report(gateway, "IST0145", ["spec", "servers", index, "hosts"], message);
    }
  }
}

function reportSharedCertificates(certificates: ReadonlyMap<string, readonly Gateway[]>, report: Report): void {
  for (const gateways of certificates.values()) {
    if (gateways.length < 2) continue;
    const names = gateways.map((gateway) => gateway.metadata.name).join(" ");
    const message = `Duplicate certificate in multiple gateways [${names}] may cause 404s if clients re-use HTTP2 connections.`;
    for (const gateway of gateways) report(gateway, "IST0138", ["spec", "servers"], message);
  }
}

function appendOnce<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  if (!map.get(key)?.includes(value)) append(map, key, value);
}
