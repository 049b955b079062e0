import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { adsRelay, type LocalGrpcServer, secretService, serveLocal } from "@lateen/adapter-grpc";
import { envoyBootstrap, fileSecret, grpcBootstrap, type StockNode } from "@lateen/envoy-agent";
import { silentLogger } from "@lateen/kernel";
import { eventually } from "@lateen/test-support";
import { type ControlPlane, type Identity, type Pod, SERVER_NAME } from "./control-plane.ts";
import { read } from "./http.ts";
import { app, Program } from "./programs.ts";

/** A machine that does other things as well takes its time. */
const STARTED_MS = 60_000;

/** A running proxy. */
export interface RunningProxy {
  readonly pod: Pod;
  /** GET of the admin interface. */
  admin(path: string): Promise<string>;
  readonly log: () => string;
  stop(): Promise<void>;
}

/** An agent beside a stock proxy: secrets and ADS on a socket, the certificate in files. */
export interface Agent {
  readonly folder: string;
  readonly socket: string;
  readonly identity: Identity;
  stop(): Promise<void>;
}

export async function startAgent(plane: ControlPlane, pod: Pod): Promise<Agent> {
  const folder = join(plane.folder, "pods", `${pod.namespace}.${pod.name}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const identity = await plane.identity(pod);
  const files = {
    "cert-chain.pem": identity.certChainPem,
    "key.pem": identity.privateKeyPem,
    "root-cert.pem": identity.rootsPem,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const secrets = secretService(silentLogger, fileSecret);
  secrets.update(identity);
  const socket = join(folder, "agent.sock");
  const services = [secrets, adsRelay(plane.channel(pod), silentLogger)];
  const server: LocalGrpcServer = await serveLocal({ path: socket, services, logger: silentLogger });
  return { folder, socket, identity, stop: () => server.close() };
}

export function stockNode(pod: Pod, kind: StockNode["kind"]): StockNode {
  return {
    ...pod,
    kind,
    pod: pod.name,
    workload: pod.name,
    clusterId: "local",
    trustDomain: "cluster.local",
    domain: "cluster.local",
  };
}

export interface EnvoyOptions {
  readonly kind: "sidecar" | "router";
  readonly discovery: "agent" | "token" | "certificate";
  readonly protocol: "GRPC" | "DELTA_GRPC";
  /** Connections of a listener that was replaced end with it. Default: they may go on for ten minutes, with what they were accepted with. */
  readonly drainsAtOnce?: boolean;
}

/** Starts an unmodified Envoy for a pod; resolves when it has its configuration. */
export async function startEnvoy(
  binary: string,
  plane: ControlPlane,
  agent: Agent,
  pod: Pod,
  options: EnvoyOptions,
): Promise<RunningProxy> {
  const tls = {
    kind: "tls",
    address: "127.0.0.1",
    port: plane.port,
    serverName: SERVER_NAME,
    rootCertFile: join(agent.folder, "root-cert.pem"),
  } as const;
  const certificate = { certFile: join(agent.folder, "cert-chain.pem"), keyFile: join(agent.folder, "key.pem") };
  const document = envoyBootstrap({
    node: stockNode(pod, options.kind),
    discovery:
      options.discovery === "agent"
        ? { kind: "agent", socket: agent.socket }
        : { ...tls, identity: options.discovery === "token" ? { token: plane.token(pod) } : certificate },
    secretsSocket: agent.socket,
    protocol: options.protocol,
    admin: { address: pod.address, port: 15_000 },
    faces: { address: pod.address, statsPort: 15_090, healthPort: 15_021 },
  });
  const file = join(agent.folder, "envoy.json");
  await writeFile(file, JSON.stringify(document, null, 1), { mode: 0o600 });
  const running = new Program(
    `Envoy of ${pod.name}`,
    [
      binary,
      ...(options.drainsAtOnce ? ["--drain-time-s", "0"] : []),
      ...["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"],
    ],
    process.env,
    "ignore",
  );
  const admin = async (path: string) => (await read({ host: pod.address, port: 15_000, path })).body;
  await eventually(
    `Envoy of ${pod.name} is ready`,
    async () => {
      running.alive();
      const ready = await read({ host: pod.address, port: 15_021, path: "/healthz/ready" });
      if (ready.status !== 200) throw new Error(`${ready.status} ${ready.body} ${running.output.slice(-2_000)}`);
      return true;
    },
    STARTED_MS,
  );
  return { pod, admin, log: () => running.output, stop: () => running.stop() };
}

/** How traffic reaches one of our own proxies; see the capture file of `lateen serve sidecar`. */
export interface Capture {
  /** By the kernel, at the pod's address; see `captureAt`. */
  readonly kernel?: boolean;
  readonly inbound?: readonly {
    readonly containerPort: number;
    readonly appAddress: string;
    readonly appPort: number;
  }[];
  readonly services?: readonly {
    readonly address: string;
    readonly port: number;
    readonly host: string;
    readonly destinationPort: number;
  }[];
  /** Gateways: where the listener of a port binds. */
  readonly bindMap?: readonly { readonly port: number; readonly address: string; readonly bindPort: number }[];
}

/** Envoy binds 15001 and 15006 on every address, so ours take others. */
export const OWN_PORTS = { outbound: 16_002, inbound: 16_006 } as const;

/** Starts our own proxy for a pod; resolves when it is ready. */
export async function startOwn(
  plane: ControlPlane,
  pod: Pod,
  kind: "sidecar" | "router",
  capture: Capture,
): Promise<RunningProxy> {
  const folder = join(plane.folder, "pods", `${pod.namespace}.${pod.name}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { address } = pod;
  const mode =
    kind === "router"
      ? { mode: "none" }
      : capture.kernel
        ? { mode: "kernel", addresses: [address], inbound: [] }
        : {
            mode: "proxy-env",
            address,
            inbound: capture.inbound ?? [],
            // See OWN_PORTS.
            explicitProxy: { address, port: 16_001 },
            services: capture.services ?? [],
          };
  const bindMap = capture.bindMap ?? [
    { port: 15_001, address, bindPort: OWN_PORTS.outbound },
    { port: 15_006, address, bindPort: OWN_PORTS.inbound },
  ];
  const settings = { capture: mode, bindMap, bindAddress: address, lowPortOffset: 10_000 };
  await writeFile(join(folder, "capture.json"), JSON.stringify(settings));
  await writeFile(join(folder, "root-cert.pem"), plane.rootPem);
  await writeFile(join(folder, "token"), plane.token(pod), { mode: 0o600 });
  const flags = {
    role: kind,
    "run-dir": folder,
    "discovery-address": `127.0.0.1:${plane.port}`,
    capture: join(folder, "capture.json"),
    "admin-address": address,
  };
  const process_ = new Program(
    `proxy of ${pod.name}`,
    [
      process.execPath,
      app(kind === "router" ? "ingress-gateway" : "sidecar"),
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    ],
    {
      ...process.env,
      POD_NAME: pod.name,
      POD_NAMESPACE: pod.namespace,
      INSTANCE_IP: address,
      SERVICE_ACCOUNT: pod.serviceAccount,
      TRUST_DOMAIN: "cluster.local",
      ISTIO_META_WORKLOAD_NAME: pod.name,
      ISTIO_META_CLUSTER_ID: "local",
      ISTIO_METAJSON_LABELS: JSON.stringify(pod.labels),
      ISTIO_META_POD_PORTS: JSON.stringify(pod.ports.map((port) => ({ ...port, protocol: "TCP" }))),
    },
  );
  const admin = async (path: string) => (await read({ host: address, port: 15_000, path })).body;
  await eventually(
    `the proxy of ${pod.name} is ready`,
    async () => {
      process_.alive();
      const ready = await read({ host: address, port: 15_021, path: "/healthz/ready" });
      if (ready.status !== 200) throw new Error(`${ready.status} ${process_.output.slice(-2_000)}`);
      return true;
    },
    STARTED_MS,
  );
  return { pod, admin, log: () => process_.output, stop: () => process_.stop() };
}

/** Writes the bootstrap file of a gRPC library beside a pod. @returns its path. */
export async function grpcBootstrapFile(agent: Agent, pod: Pod): Promise<string> {
  const document = grpcBootstrap({
    node: stockNode(pod, "sidecar"),
    socket: agent.socket,
    certificateDir: agent.folder,
  });
  const file = join(agent.folder, "grpc-bootstrap.json");
  await writeFile(file, JSON.stringify(document), { mode: 0o600 });
  return file;
}
