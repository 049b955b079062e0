import type { Deployment, Service } from "../kinds/index.ts";
import { labelsMatch } from "../services/endpoints.ts";
import { parseProtocol, protocolOf } from "../services/protocol.ts";
import { append } from "./group.ts";
import type { Report } from "./types.ts";
import type { AnalysisWorld } from "./world.ts";

type Port = NonNullable<Service["spec"]["ports"]>[number];

/** Port names the mesh cannot read, and services that disagree about one workload. */
export function analyzeServices(world: AnalysisWorld, report: Report): void {
  const byNamespace = new Map<string, Service[]>();
  for (const service of world.all("Service")) {
    checkPortNames(service, report);
    append(byNamespace, service.metadata.namespace, service);
  }
  for (const deployment of world.all("Deployment")) {
    checkDeployment(deployment, byNamespace.get(deployment.metadata.namespace) ?? [], report);
  }
  checkEntryProtocols(world, report);
}

function checkPortNames(service: Service, report: Report): void {
  const { name, namespace } = service.metadata;
  // The API server's own service and the cluster's DNS are named by Kubernetes.
  if (namespace === "kube-system" || (name === "kubernetes" && namespace === "default")) return;
  for (const [index, port] of (service.spec.ports ?? []).entries()) {
    if ((port.protocol ?? "TCP") !== "TCP" || port.appProtocol || isConventional(port.name)) continue;
    const path = ["spec", "ports", index];
    if (service.spec.type === "ExternalName") {
      const message =
        "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic for ports serving TCP protocol from being forwarded correctly";
      report(service, "IST0150", path, message);
      continue;
    }
    const target = port.targetPort ?? port.port;
    const message = `Port name ${port.name ?? ""} (port: ${port.port}, targetPort: ${target}) doesn't follow the naming convention of Istio port.`;
    report(
      service,
      "IST0118",
      path,
      message,
      "name it after its protocol (http, grpc-api, tcp-db …) or set appProtocol",
    );
  }
}

function isConventional(name: string | undefined): boolean {
  if (!name) return false;
  const lower = name.toLowerCase();
  const dash = lower.indexOf("-");
  const head = lower.startsWith("grpc-web") ? "grpc-web" : dash < 0 ? lower : lower.slice(0, dash);
  return parseProtocol(head) !== undefined || head === "udp";
}

function checkDeployment(deployment: Deployment, services: readonly Service[], report: Report): void {
  const labels = deployment.spec.template.metadata?.labels ?? {};
  const own = services.filter((service) => {
    const selector = service.spec.selector ?? {};
    return Object.keys(selector).length > 0 && labelsMatch(selector, labels);
  });
  if (own.length < 2) return;
  const byNumber = new Map<number, [Service, Port][]>();
  const byTarget = new Map<string, [Service, Port][]>();
  for (const service of own) {
    for (const port of service.spec.ports ?? []) {
      append(byNumber, port.port, [service, port]);
      append(byTarget, String(port.targetPort ?? port.port), [service, port]);
    }
  }
  const { name } = deployment.metadata;
  for (const [number, uses] of byNumber) {
    const protocols = new Set(uses.map(([, port]) => protocolOf(port.name, port.appProtocol, port.port)));
    if (protocols.size < 2) continue;
    const message = `This deployment ${name} is associated with multiple services using port ${number} but different protocols: [${namesOf(uses)}]`;
    report(deployment, "IST0116", ["metadata", "name"], message);
  }
  for (const [target, uses] of byTarget) {
    const numbers = [...new Set(uses.map(([, port]) => port.port))].sort((a, b) => a - b);
    if (numbers.length < 2 || new Set(uses.map(([service]) => service)).size < 2) continue;
    const message = `This deployment ${name} is associated with multiple services [${namesOf(uses)}] using targetPort "${target}" but different ports: [${numbers.join(" ")}].`;
    report(deployment, "IST0137", ["metadata", "name"], message);
  }
}

function namesOf(uses: readonly (readonly [Service, Port])[]): string {
  return [...new Set(uses.map(([service]) => service.metadata.name))].join(" ");
}

/** Several entries may declare one host and port; their protocol must be the same. */
function checkEntryProtocols(world: AnalysisWorld, report: Report): void {
  const declared = new Map<string, { readonly protocol: string; readonly by: string }>();
  for (const entry of world.all("ServiceEntry")) {
    const by = `${entry.metadata.namespace}/${entry.metadata.name}`;
    for (const [index, port] of (entry.spec.ports ?? []).entries()) {
      const protocol = parseProtocol(port.protocol ?? "") ?? "Auto";
      for (const host of entry.spec.hosts) {
        const key = `${host.toLowerCase()}:${port.number}`;
        const earlier = declared.get(key);
        if (earlier === undefined) declared.set(key, { protocol, by });
        else if (earlier.protocol !== protocol) {
          const message = `ServiceEntry ${earlier.by} declares ${key} with protocol ${earlier.protocol}, this one with ${protocol}.`;
          report(entry, "IST0177", ["spec", "ports", index, "protocol"], message);
        }
      }
    }
  }
}
