import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { connectAds } from "@lateen/adapter-grpc";
import type { Mesh } from "@lateen/e2e-embedded";
import { Scope, systemClock } from "@lateen/kernel";
import { mintToken } from "@lateen/pki";
import { DeltaDiscoveryRequest } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { eventually, startTcpRelay, type TcpRelay } from "@lateen/test-support";

const main = resolve(import.meta.dirname, "../../../../apps/pilot/dist/main.js");
const ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/** A token as the mesh's supervisor gives them. */
export async function tokenOf(mesh: Mesh, namespace: string, serviceAccount: string, pod: string): Promise<string> {
  const privatePem = await readFile(join(mesh.state, "token-key.pem"), "utf8");
  return mintToken({ privatePem, namespace, serviceAccount, pod, ttlSeconds: 3600 }, systemClock());
}

/** One more pilot of a mesh, which reaches galley and NATS by ways of its own that can be cut. */
export class ExtraPilot {
  readonly toGalley: TcpRelay;
  readonly toNats: TcpRelay;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, child: ChildProcess, toGalley: TcpRelay, toNats: TcpRelay) {
    this.#folder = folder;
    this.#child = child;
    this.toGalley = toGalley;
    this.toNats = toNats;
  }

  static async start(
    mesh: Mesh,
    name: string,
    ports: { readonly citadel: number; readonly galley: number; readonly nats: number },
  ): Promise<ExtraPilot> {
    const folder = join(mesh.folder, name);
    await mkdir(folder, { recursive: true });
    await copyFile(join(mesh.state, "ca", "root-cert.pem"), join(folder, "root-cert.pem"));
    await writeFile(join(folder, "token"), await tokenOf(mesh, "istio-system", "istio-pilot-service-account", name));
    const [toGalley, toNats] = [await startTcpRelay(ports.galley), await startTcpRelay(ports.nats)];
    const flags = {
      "run-dir": folder,
      "ca-address": `127.0.0.1:${ports.citadel}`,
      "galley-address": `127.0.0.1:${toGalley.port}`,
      "nats-url": `nats://127.0.0.1:${toNats.port}`,
      "nats-credentials": join(mesh.state, "nats", "credentials"),
      "nats-credentials-kind": "user",
      registry: join(mesh.state, "registry", "pods.json"),
      "token-public-key": join(mesh.state, "token-pub.pem"),
      "xds-port": "0",
      "http-port": "0",
      "metrics-port": "0",
      "ports-file": join(folder, "ports.json"),
    };
    const argv = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
    const child = spawn(process.execPath, [main, ...argv], { stdio: "ignore" });
    return new ExtraPilot(folder, child, toGalley, toNats);
  }

  /** Where it serves xDS, once it does. */
  async xds(patienceMs: number): Promise<number> {
    return eventually(
      "the pilot serves",
      async () => {
        const ports = JSON.parse(await readFile(join(this.#folder, "ports.json"), "utf8")) as { readonly xds?: number };
        return ports.xds;
      },
      patienceMs,
    );
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
    await Promise.all([this.toGalley.close(), this.toNats.close()]);
  }
}

/** A proxy as a pilot sees it, that remembers every version it was sent of one route configuration. */
export class Observer {
  readonly versions: string[] = [];
  readonly #scope = new Scope();

  constructor(
    mesh: Mesh,
    port: number,
    parts: { readonly token: string; readonly rootPem: string; readonly route: string },
  ) {
    const { token, rootPem, route } = parts;
    const node = {
      id: `sidecar~127.0.0.9~observer.default~default.svc.cluster.local`,
      cluster: "observer",
      metadata: { NAMESPACE: "default", CLUSTER_ID: "local", ISTIO_VERSION: "1.27.0", MESH: mesh.folder },
    };
    const connection = connectAds(
      this.#scope,
      {
        address: `127.0.0.1:${port}`,
        serverName: "istiod.istio-system.svc",
        identity: () => ({ rootPem, token }),
      },
      {
        opened: () =>
          connection.send(
            DeltaDiscoveryRequest.fromPartial({ node, typeUrl: ROUTES, resourceNamesSubscribe: [route] }),
          ),
        received: ({ typeUrl, nonce, resources }) => {
          for (const { name, version } of resources) {
            if (name === route && this.versions.at(-1) !== version) this.versions.push(version);
          }
          connection.send(DeltaDiscoveryRequest.fromPartial({ typeUrl, responseNonce: nonce }));
        },
        disconnected: () => {},
      },
    );
  }

  get version(): string | undefined {
    return this.versions.at(-1);
  }

  close(): Promise<void> {
    return this.#scope.close();
  }
}
