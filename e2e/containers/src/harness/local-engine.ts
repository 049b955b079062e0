import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Container, ContainerSpec, Engine, Image, Sandbox } from "./engine.ts";
import { LocalContainer, type RootPlaces, variables } from "./local-container.ts";

const run = promisify(execFile);
const BRIDGE = "pods0";
const NETWORK = "10.88.0";

/**
 * Containers without an engine: the layers of an image laid over each other (overlayfs), in namespaces of their own, with the user, the rights and
 * the mounts of the specification. Needs root, in a network, mount and process namespace that nobody else uses. Of what Docker does,
 * limits of memory are missing: control groups are the machine's.
 */
export class LocalEngine implements Engine {
  readonly gateway = `${NETWORK}.1`;
  readonly #folder: string;
  readonly #images = new Map<string, { readonly run: Image["run"]; readonly layers: readonly string[] }>();
  readonly #containers: LocalContainer[] = [];
  readonly #open = new Set<Sandbox>();
  #closed = false;
  #sandboxes = 0;
  #roots = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param folder for layers; what containers write stays in memory. */
  static async create(folder: string): Promise<LocalEngine> {
    await ip(`link add ${BRIDGE} type bridge`, `addr add ${NETWORK}.1/24 dev ${BRIDGE}`, `link set ${BRIDGE} up`);
    // What pods send to addresses of services has its way through here, as through a node.
    writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
    const roots = join(folder, "roots");
    mkdirSync(roots, { recursive: true });
    // Any file system can be a lower layer of an overlay, but not each an upper one.
    await run("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", roots]);
    return new LocalEngine(folder);
  }

  async load(images: readonly Image[]): Promise<void> {
    const unpacked = new Map<string, string>();
    for (const { reference, run: settings, layers } of images) {
      for (const { digest, gzip } of layers) {
        if (unpacked.has(digest)) continue;
        const place = join(this.#folder, "layers", digest.replace(":", "-"));
        mkdirSync(place, { recursive: true });
        execFileSync("tar", ["-xzpf", "-", "-C", place], { input: gzip });
        unpacked.set(digest, place);
      }
      const places = layers.map(({ digest }) => unpacked.get(digest) ?? "");
      this.#images.set(reference, { run: settings, layers: places });
    }
  }

  async sandbox(name: string, sysctls: Readonly<Record<string, string>>): Promise<Sandbox> {
    const number = ++this.#sandboxes;
    const [address, cable] = [`${NETWORK}.${number + 1}`, `cable${number}`];
    const settings = Object.entries(sysctls).map(
      ([key, value]) => `echo ${value} > /proc/sys/${key.replaceAll(".", "/")}`,
    );
    const keep = ["set -e", "ip link set lo up", ...settings, "echo ready", "exec sleep infinity"].join("\n");
    // A process keeps the network, as a pod's pause container does: nothing of it is left when that has ended.
    const keeper = spawn("unshare", ["--net", "sh", "-c", keep], { stdio: ["ignore", "pipe", "inherit"] });
    const first = await Promise.race([once(keeper.stdout, "data"), once(keeper, "exit").then(() => undefined)]);
    if (first === undefined) throw new Error(`${name}: no network`);
    const namespace = `/proc/${keeper.pid}/ns/net`;
    const close = async () => {
      this.#open.delete(sandbox);
      // A network goes some time after its last process; its cable, and with it the name, goes now.
      await run("ip", ["link", "del", cable]).catch(() => undefined);
      const ended = once(keeper, "exit");
      keeper.kill("SIGKILL");
      await ended;
    };
    const sandbox: LocalSandbox = { name, address, close, namespace };
    this.#open.add(sandbox);
    await ip(
      `link add ${cable} type veth peer name eth0 netns ${keeper.pid}`,
      `link set ${cable} master ${BRIDGE} up`,
      // A pod may be an endpoint of the service that it asks.
      `link set ${cable} type bridge_slave hairpin on`,
    );
    const inside = [
      `ip addr add ${address}/24 dev eth0`,
      "ip link set eth0 up",
      `ip route add default via ${this.gateway}`,
    ];
    await run("nsenter", [`--net=${namespace}`, "sh", "-ec", inside.join("\n")]);
    return sandbox;
  }

  async start(spec: ContainerSpec): Promise<Container> {
    const image = this.#images.get(spec.image);
    if (image === undefined) throw new Error(`no image ${spec.image}`);
    // Whoever keeps a container running does not know that all are being ended.
    if (this.#closed) throw new Error("no more containers");
    const { run: settings, layers } = image;
    const place = join(this.#folder, "roots", String(++this.#roots));
    const places: RootPlaces = {
      root: join(place, "root"),
      upper: join(place, "upper"),
      work: join(place, "work"),
      layers,
    };
    for (const folder of [places.root, places.upper, places.work]) mkdirSync(folder, { recursive: true });
    const container = new LocalContainer(spec, places, {
      namespace: (spec.sandbox as LocalSandbox).namespace,
      argv: [...(spec.command ?? settings.entrypoint), ...spec.args],
      env: { ...variables(settings.env), ...spec.env },
      workingDir: settings.workingDir,
    });
    this.#containers.push(container);
    await container.started();
    return container;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const container of this.#containers) await container.kill();
    for (const sandbox of this.#open) await sandbox.close();
    await run("umount", [join(this.#folder, "roots")]);
    await ip(`link del ${BRIDGE}`);
  }
}

interface LocalSandbox extends Sandbox {
  /** File of its network. */
  readonly namespace: string;
}

async function ip(...commands: readonly string[]): Promise<void> {
  for (const command of commands) await run("ip", command.split(" "));
}
