import { availableParallelism } from "node:os";
import { join } from "node:path";
import { ensureDirectory } from "@lateen/runtime";
import { spread } from "../control/control-plane.ts";
import { replaceFile } from "../files.ts";
import { hasIpv6 } from "../net/namespaces.ts";
import type { PodPlace } from "../net/pod-network.ts";
import { proxyEconomy } from "../process/economy.ts";
import type { ProcessExit } from "../process/managed-process.ts";
import { ProbedProcess } from "../process/probed-process.ts";
import type { PodDependencies } from "./dependencies.ts";
import { checkContainer } from "./probe.ts";
import { type ProxySettings, proxySettings } from "./proxy-settings.ts";
import type { ServiceListener } from "./service-links.ts";
import type { PodBlueprint, PodPort } from "./types.ts";

/** Milliseconds beyond its drain that a proxy may take to end. */
const GRACE_MARGIN_MS = 1_000;
const HEALTH_PORT = 15021;
const EXPLICIT_PROXY_PORT = 15001;
/** Added to gateway ports below 1024, which only root may bind. */
const LOW_PORT_OFFSET = 10_000;

/** What a pod's proxy needs to know about its pod. */
export interface ProxyInput {
  readonly blueprint: PodBlueprint;
  readonly address: string;
  readonly place: PodPlace;
  /** By path, in the form of Istio's injector: what is asked of the applications through the proxy. */
  readonly probes: Readonly<Record<string, unknown>>;
  /** The application is somebody's own process, which may listen on loopback only. */
  readonly joined: boolean;
  readonly runDirectory: string;
  readonly ports: readonly PodPort[];
  readonly listeners: readonly ServiceListener[];
}

/** `http://ADDRESS:15001` */
export function explicitProxyUrl(address: string): string {
  return `http://${address}:${EXPLICIT_PROXY_PORT}`;
}

/** The sidecar (or gateway) process of one pod: its run directory, its process, its readiness. */
export class PodProxy {
  readonly #input: ProxyInput;
  readonly #deps: PodDependencies;
  readonly #process: ProbedProcess;
  #lastExit: ProcessExit | undefined;

  constructor(input: ProxyInput, deps: PodDependencies, onChange: () => void) {
    this.#input = input;
    this.#deps = deps;
    const { namespace, name, workload } = input.blueprint;
    this.#process = new ProbedProcess({
      name: `proxy of ${namespace}/${name}`,
      spec: async () => ({
        argv: this.#argv(),
        env: { ...proxyEconomy.env, ...this.#settings().environment, ...podEnvironment(input, deps) },
      }),
      check: () => this.#check(),
      // Once ready, what counts is whether the process lives; the slow check only notices a proxy that hangs.
      periodMs: 5_000,
      clock: deps.clock,
      ledger: deps.ledger,
      setpriv: deps.setpriv,
      onLine: (stream, line) =>
        deps.onLine({ namespace, pod: name, workload, source: "proxy", container: "istio-proxy", stream, line }),
      onReady: onChange,
      onExit: (exit) => {
        this.#lastExit = exit;
        onChange();
      },
    });
  }

  get ready(): boolean {
    return this.#process.ready;
  }
  get restarts(): number {
    return this.#process.restarts;
  }
  get pid(): number | undefined {
    return this.#process.pid;
  }
  /** Why it is not ready. */
  get reason(): string {
    if (this.ready) return "";
    if (this.#process.pid === undefined && this.#lastExit !== undefined) {
      return `the proxy ended with ${describeExit(this.#lastExit)}`;
    }
    return `the proxy is starting${this.#process.reason === "" ? "" : ` (${this.#process.reason})`}`;
  }

  /** Writes the run directory and starts the process. */
  async start(): Promise<void> {
    await ensureDirectory(this.#input.runDirectory);
    await Promise.all([
      this.refreshToken(),
      replaceFile(join(this.#input.runDirectory, "root-cert.pem"), this.#deps.rootPem),
      replaceFile(join(this.#input.runDirectory, "capture.json"), JSON.stringify(this.#capture(), null, 2)),
    ]);
    this.#process.start();
  }

  /** Writes a fresh projected token. */
  async refreshToken(): Promise<void> {
    const { namespace, serviceAccount, name } = this.#input.blueprint;
    const token = this.#deps.mintToken({ namespace, serviceAccount, name });
    await replaceFile(join(this.#input.runDirectory, "token"), token);
  }

  /** Ends the process; it is started again by its restart policy. */
  restart(): void {
    this.#process.kill("SIGTERM");
  }

  /** @param graceMs at least what its requests get to finish. */
  async stop(graceMs?: number): Promise<void> {
    await this.#process.stop(graceMs ?? this.#settings().drainMs + GRACE_MARGIN_MS);
  }

  /** As of now: a proxy that runs keeps those it was started with. */
  #settings(): ProxySettings {
    return settingsOf(this.#input.blueprint, this.#deps);
  }

  #check() {
    const { address } = this.#input;
    return checkContainer(
      { httpGet: { path: "/healthz/ready", port: HEALTH_PORT }, timeoutSeconds: 2 },
      { host: address, portOf: () => HEALTH_PORT, firstPort: HEALTH_PORT, env: {}, cwd: "/" },
    );
  }

  #argv(): readonly string[] {
    const { address, runDirectory, blueprint, place } = this.#input;
    const { network, domain } = this.#deps;
    const addresses = this.#deps.controlPlane();
    const flags: Record<string, string> = {
      role: blueprint.kind === "gateway" ? "router" : "sidecar",
      "run-dir": runDirectory,
      ...(addresses === undefined
        ? {}
        : {
            "discovery-address": spread(addresses.discovery, address),
            "ca-address": spread(addresses.ca, address),
            "ca-server-name": addresses.caName,
            "telemetry-address": spread(addresses.telemetry, address),
            "telemetry-server-name": addresses.telemetryName,
          }),
      "server-name": "istiod.istio-system.svc",
      ...this.#settings().flags,
      capture: join(runDirectory, "capture.json"),
      "admin-address": place.adminAddress,
      "status-address": address,
      ...(place.adminSocket === undefined ? {} : { "admin-socket": place.adminSocket }),
      ...(network.captures && blueprint.kind !== "gateway"
        ? { "dns-capture": "true", "dns-server": network.host, "dns-zone": domain }
        : {}),
    };
    return [
      ...place.proxyPrefix,
      ...this.#deps.sidecar,
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    ];
  }

  /** Listeners take both families where there are both. */
  #kernelCapture(): unknown {
    const { address, ports, joined } = this.#input;
    const elsewhere = ports.filter(({ container, privatePort }) => joined || container !== privatePort);
    return {
      capture: {
        mode: "kernel",
        addresses: [address],
        inbound: elsewhere.map(({ container, privatePort }) => ({
          containerPort: container,
          appAddress: "127.0.0.1",
          appPort: privatePort,
        })),
        virtualRanges: VIRTUAL_RANGES,
      },
      bindMap: [],
      bindAddress: hasIpv6() ? "::" : "0.0.0.0",
      lowPortOffset: 0,
    };
  }

  #capture(): unknown {
    const { blueprint, address, ports, listeners } = this.#input;
    if (blueprint.kind === "gateway") {
      // A gateway is reached from outside on 127.0.0.1; an egress gateway only from the mesh, at its own address.
      const bindings = this.#deps.gatewayBindings(address);
      const bindAddress = blueprint.labels.istio === "ingressgateway" ? "127.0.0.1" : address;
      const bindMap = blueprint.labels.istio === "ingressgateway" ? bindings : [];
      return { capture: { mode: "none" }, bindMap, bindAddress, lowPortOffset: LOW_PORT_OFFSET };
    }
    if (this.#deps.network.captures) return this.#kernelCapture();
    return {
      capture: {
        mode: "proxy-env",
        address,
        inbound: ports.map((port) => ({
          containerPort: port.container,
          appAddress: "127.0.0.1",
          appPort: port.privatePort,
        })),
        explicitProxy: { address, port: EXPLICIT_PROXY_PORT },
        services: listeners,
        virtualRanges: VIRTUAL_RANGES,
      },
      bindMap: [],
      bindAddress: address,
      lowPortOffset: LOW_PORT_OFFSET,
    };
  }
}

/** Service addresses: galley's ClusterIPs, and what ServiceEntries without an address get. Nothing but a listener answers there. */
const VIRTUAL_RANGES = ["10.96.0.0/12", "240.240.0.0/16"];

/** How the pod's proxy would be started now. */
export function settingsOf(pod: PodBlueprint, { world }: Pick<PodDependencies, "world">): ProxySettings {
  return proxySettings({
    config: world.meshConfig(),
    proxyConfigs: world.proxyConfigs(),
    pod,
    processors: availableParallelism(),
  });
}

/** Who a pod is, for our own programs beside it; the variables are those of Istio's injector. */
export function podEnvironment(
  { blueprint, address, ports, probes }: Omit<ProxyInput, "place">,
  deps: PodDependencies,
): Record<string, string> {
  return {
    ...Object.fromEntries(deps.ownEnvironment),
    POD_NAME: blueprint.name,
    POD_NAMESPACE: blueprint.namespace,
    INSTANCE_IP: address,
    SERVICE_ACCOUNT: blueprint.serviceAccount,
    TRUST_DOMAIN: deps.trustDomain,
    ISTIO_META_WORKLOAD_NAME: blueprint.workload,
    ISTIO_META_CLUSTER_ID: deps.clusterId,
    ISTIO_META_MESH_ID: deps.meshId,
    ...(Object.keys(probes).length > 0 ? { ISTIO_KUBE_APP_PROBERS: JSON.stringify(probes) } : {}),
    ISTIO_METAJSON_LABELS: JSON.stringify(blueprint.labels),
    ISTIO_META_POD_PORTS: JSON.stringify(
      ports.map(({ name, container }) => ({ ...(name ? { name } : {}), containerPort: container, protocol: "TCP" })),
    ),
  };
}

/** `code 1`, `signal SIGKILL` or why it could not start. */
export function describeExit(exit: {
  readonly code: number | null;
  readonly signal: string | null;
  readonly error?: string;
}): string {
  if (exit.error !== undefined) return `"${exit.error}"`;
  return exit.signal === null ? `code ${exit.code}` : `signal ${exit.signal}`;
}
