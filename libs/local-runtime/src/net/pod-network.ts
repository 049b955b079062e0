import { join } from "node:path";
import { type CaptureOptions, captureOptions, defaultCapture } from "@lateen/capture";
import { DnsProxy, systemServers } from "@lateen/dns";
import { type Clock, type Logger, type Random, Scope } from "@lateen/kernel";
import { ensureDirectory } from "@lateen/runtime";
import { replaceFile } from "../files.ts";
import type { PodBlueprint } from "../pod/types.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import { type AddressPool, addressBlock, loopbackTwin } from "./addresses.ts";
import { Namespaces } from "./namespaces.ts";

/** Where one pod is, and how to run things there. */
export interface PodPlace {
  /** Before a proxy's command, and before an application's. */
  readonly proxyPrefix: readonly string[];
  readonly appPrefix: readonly string[];
  /** Address of the proxy's admin interface. */
  readonly adminAddress: string;
  /** Unix socket of the admin interface, where its address cannot be reached from here. */
  readonly adminSocket: string | undefined;
  close(): Promise<void>;
}

/** How pods of a mesh have addresses of their own, and how their traffic comes to their proxies. */
export interface PodNetwork {
  /** Whether the kernel carries the traffic, and applications need to know nothing. */
  readonly captures: boolean;
  /** The address at which pods reach this machine. */
  readonly host: string;
  readonly addresses: AddressPool;
  /** Makes the place for a pod. @throws LTN7017, LTN6602; Error naming annotations that cannot be used. */
  place(blueprint: PodBlueprint, address: string, runDirectory: string): Promise<PodPlace>;
  close(): Promise<void>;
}

/** Pods share the machine's network; each has a loopback address, and applications are told where their proxy is. */
export function loopbackNetwork(addresses: AddressPool): PodNetwork {
  return {
    captures: false,
    host: "127.0.0.1",
    addresses,
    place: async (_blueprint, address) => ({
      proxyPrefix: [],
      appPrefix: [],
      adminAddress: address,
      adminSocket: undefined,
      close: async () => {},
    }),
    close: async () => {},
  };
}

export interface NamespaceNetworkOptions {
  /** Number of the mesh's address block. */
  readonly index: number;
  readonly ledger: ProcessLedger;
  readonly setpriv: string;
  readonly domain: string;
  /** Directory for admin sockets. */
  readonly adminDirectory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Every pod is a network namespace of its own with redirection rules in it. Gateways stay on the machine, where people reach them. */
export async function namespaceNetwork(options: NamespaceNetworkOptions): Promise<PodNetwork> {
  const { index, domain, adminDirectory } = options;
  const { marker: gateway, pods } = addressBlock(index, "namespaces");
  await ensureDirectory(adminDirectory, 0o700);
  const namespaces = await Namespaces.create({ ...options, gateway });
  const scope = new Scope();
  await relayDns(scope, gateway, options);
  return {
    captures: true,
    host: gateway,
    addresses: pods,
    async place(blueprint, address, runDirectory) {
      if (blueprint.kind === "gateway") return onHost(namespaces, address);
      const { namespace, name } = blueprint;
      const resolvConf = join(runDirectory, "resolv.conf");
      await ensureDirectory(runDirectory);
      await replaceFile(resolvConf, resolverFile(gateway, namespace, domain));
      const capture = captureOf(blueprint);
      const pod = await namespaces.createPod(`${namespace}/${name}`, address, capture, resolvConf);
      return {
        ...pod,
        adminAddress: "127.0.0.1",
        adminSocket: join(adminDirectory, `${address}.sock`),
        close: async () => pod.close(),
      };
    },
    async close() {
      await scope.close();
      await namespaces.close();
    },
  };
}

async function onHost(namespaces: Namespaces, address: string): Promise<PodPlace> {
  await namespaces.addHostAddress(address);
  return {
    proxyPrefix: [],
    appPrefix: [],
    adminAddress: loopbackTwin(address),
    adminSocket: undefined,
    close: () => namespaces.removeHostAddress(address),
  };
}

function captureOf({ annotations, namespace, name }: PodBlueprint): CaptureOptions {
  const options = captureOptions(annotations, { ...defaultCapture, dns: "all" });
  if (!options.ok) throw new Error(`annotations of pod ${namespace}/${name}: ${options.error.join("; ")}`);
  return options.value;
}

/** As a cluster's kubelet writes it. All queries go to the pod's DNS proxy; the name server is what that one asks in turn. */
function resolverFile(gateway: string, namespace: string, domain: string): string {
  const search = [`${namespace}.svc.${domain}`, `svc.${domain}`, domain].join(" ");
  return `search ${search}\nnameserver ${gateway}\noptions ndots:5\n`;
}

/** The machine's resolvers may listen on its loopback only; pods ask them through us. */
async function relayDns(scope: Scope, gateway: string, options: NamespaceNetworkOptions): Promise<void> {
  const { clock, random, logger } = options;
  await DnsProxy.start(scope, {
    addresses: [gateway],
    port: 53,
    records: () => ({}),
    rules: { search: [], zone: undefined },
    servers: await systemServers(),
    ...{ clock, random, logger },
  });
}
