import { err, ok, type Result } from "@lateen/kernel";
import { decodeObjectValue } from "../decode/decode-value.ts";
import { toDiagnostic } from "../decode/diagnostic.ts";
import { splitDocuments } from "../decode/split.ts";
import { parseYaml } from "../decode/yaml.ts";
import { codes } from "../errors.ts";
import type { Diagnostic, Origin } from "../origin.ts";
import { type Infer, type ObjectNode, s } from "../schema/index.ts";
import { Check } from "../validation/check.ts";
import { isCidr, isInCidr, isIp } from "../validation/ip.ts";
import { isHostName } from "../validation/names.ts";

/** A network of the mesh (istio.mesh.v1alpha1.Network): what is in it, and how the others get there. */
export interface MeshNetwork {
  readonly name: string;
  /** Clusters whose endpoints are in it, by name. */
  readonly registries: readonly string[];
  /** Address ranges of it. */
  readonly cidrs: readonly string[];
  readonly gateways: readonly MeshNetworkGateway[];
}

/** Where mesh mTLS enters a network: at an address, or at those that a Service has for clients outside its cluster. */
export type MeshNetworkGateway = {
  /** Default 15443. */
  readonly port: number;
} & (
  | { readonly kind: "address"; readonly address: string }
  | {
      readonly kind: "service";
      /** `name.namespace.svc.cluster.local` */
      readonly host: string;
    }
);

const gateway = s.object({
  registryServiceName: s.string(),
  address: s.string(),
  port: s.integer({ min: 1, max: 65_535 }),
  locality: s.string(),
});
/** istio.mesh.v1alpha1.MeshNetworks. */
const meshNetworksSchema = s.object({
  networks: s.map(
    s.object({
      endpoints: s.array(s.object({ fromCidr: s.string(), fromRegistry: s.string() })),
      gateways: s.array(gateway),
    }),
  ),
});
type Written = Infer<typeof meshNetworksSchema>;

/** Reads key `meshNetworks` of the ConfigMap `istio`. Unknown fields and contradictions are errors; `file` is for messages. */
export function meshNetworksFromText(
  text: string,
  file: string,
): Result<readonly MeshNetwork[], readonly Diagnostic[]> {
  const [first, second] = splitDocuments(text);
  if (first === undefined) return ok([]);
  if (second !== undefined) {
    return err([problem("networks must be one document", { file, line: second.line + 1, column: 1 })]);
  }
  const parsed = parseYaml(file, first);
  if (!parsed.ok) {
    return err(parsed.problems.map(({ message, origin, code }) => ({ ...problem(message, origin), code })));
  }
  const check = new Check();
  const written = decodeObjectValue(meshNetworksSchema as ObjectNode, parsed.document.value ?? {}, check, "strict");
  if (written !== undefined && check.findings.length === 0) checkNetworks(written as Written, check);
  if (written === undefined || check.findings.length > 0) {
    return err(check.findings.map((finding) => toDiagnostic(finding, parsed.document.locate)));
  }
  return ok(complete(written as Written));
}

function problem(message: string, origin: Origin): Diagnostic {
  return { level: "error", code: codes.meshConfig, message, path: "", origin };
}

function checkNetworks({ networks = {} }: Written, check: Check): void {
  const seen = new Map<string, string>();
  for (const [name, { endpoints = [], gateways = [] }] of Object.entries(networks)) {
    const at = check.at("networks", name);
    if (name === "") at.error("a network needs a name", { part: "key" });
    for (const [index, { fromCidr, fromRegistry }] of endpoints.entries()) {
      const place = at.at("endpoints", index);
      if ((fromCidr === undefined) === (fromRegistry === undefined)) {
        place.error("exactly one of fromCidr and fromRegistry is required", { code: codes.conflict });
        continue;
      }
      if (fromCidr !== undefined && !isCidr(fromCidr)) {
        place.at("fromCidr").error(`"${fromCidr}" is not an address range`, { hint: "for example 192.168.0.0/16" });
      }
      const key = fromCidr ?? `registry ${fromRegistry}`;
      const other = seen.get(key);
      if (other !== undefined) place.error(`${key} is in network "${other}" already`, { code: codes.duplicate });
      seen.set(key, name);
    }
    for (const [index, one] of gateways.entries()) checkGateway(one, at.at("gateways", index));
  }
}

function checkGateway({ registryServiceName, address, port }: Infer<typeof gateway>, check: Check): void {
  if ((registryServiceName === undefined) === (address === undefined)) {
    check.error("exactly one of registryServiceName and address is required", { code: codes.conflict });
  }
  if (registryServiceName !== undefined && !isHostName(registryServiceName)) {
    check.at("registryServiceName").error(`"${registryServiceName}" is not the host of a Service`);
  }
  if (address !== undefined && !isIp(address)) {
    // Endpoints of other networks come by EDS, which has addresses only.
    check.at("address").error(`"${address}" is not an IP address; names are not resolved for proxies`, {
      code: codes.unsupported,
    });
  }
  if (port === undefined) check.error(`field "port" is required`, { code: codes.missingField });
}

function complete({ networks = {} }: Written): readonly MeshNetwork[] {
  return Object.entries(networks)
    .map(([name, { endpoints = [], gateways = [] }]) => ({
      name,
      registries: endpoints.flatMap(({ fromRegistry }) => fromRegistry ?? []),
      cidrs: endpoints.flatMap(({ fromCidr }) => fromCidr ?? []),
      gateways: gateways.map(({ address, registryServiceName = "", port = 15_443 }) =>
        address === undefined
          ? { kind: "service" as const, host: registryServiceName.toLowerCase(), port }
          : { kind: "address" as const, address, port },
      ),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The network of an address in a cluster, for what names none itself: that of the cluster's registry, else that of the narrowest range
 * with the address; empty: none.
 */
export function networkOfAddress(networks: readonly MeshNetwork[], address: string, registry: string): string {
  const registered = networks.find(({ registries }) => registries.includes(registry));
  if (registered !== undefined) return registered.name;
  const holding = networks
    .flatMap(({ name, cidrs }) => cidrs.map((cidr) => ({ name, cidr })))
    .filter(({ cidr }) => isInCidr(address, cidr));
  return holding.sort((a, b) => bitsOf(b.cidr) - bitsOf(a.cidr))[0]?.name ?? "";
}

function bitsOf(cidr: string): number {
  return Number(cidr.slice(cidr.indexOf("/") + 1));
}
