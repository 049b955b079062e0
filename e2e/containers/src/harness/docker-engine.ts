import { createReadStream } from "node:fs";
import {
  type ContainerRuntimeClient,
  GenericContainer,
  getContainerRuntimeClient,
  Network,
  type StartedNetwork,
  type StartedTestContainer,
  type WaitStrategy,
} from "testcontainers";
import type { Container, ContainerSpec, Engine, Finished, Image, Sandbox } from "./engine.ts";
import { PAUSE } from "./images.ts";

/** Containers of Docker's engine, by testcontainers. */
export class DockerEngine implements Engine {
  readonly gateway: string;
  readonly #client: ContainerRuntimeClient;
  readonly #network: StartedNetwork;
  readonly #containers: DockerContainer[] = [];

  private constructor(client: ContainerRuntimeClient, network: StartedNetwork, gateway: string) {
    this.#client = client;
    this.#network = network;
    this.gateway = gateway;
  }

  static async create(): Promise<DockerEngine> {
    // Its image could only come from a registry; `close` does what it is for.
    process.env.TESTCONTAINERS_RYUK_DISABLED = "true";
    const client = await getContainerRuntimeClient();
    const network = await new Network().start();
    const { IPAM } = await client.network.getById(network.getId()).inspect();
    const gateway = (IPAM?.Config as readonly { readonly Gateway?: string }[] | undefined)?.[0]?.Gateway;
    if (gateway === undefined) throw new Error("the network has no gateway");
    return new DockerEngine(client, network, gateway);
  }

  async load(images: readonly Image[]): Promise<void> {
    for (const { file } of images) {
      const answer = await this.#client.container.dockerode.loadImage(createReadStream(file));
      let text = "";
      for await (const chunk of answer) text += chunk.toString();
      if (!text.includes("Loaded image")) throw new Error(`${file}: ${text}`);
    }
  }

  async sandbox(name: string, sysctls: Readonly<Record<string, string>>): Promise<Sandbox> {
    const pause = new Prepared(PAUSE)
      .settings({ Sysctls: { ...sysctls } })
      .withName(name)
      .withNetworkMode(this.#network.getName());
    const started = await pause.start();
    this.#containers.push(new DockerContainer(name, started, this.#client));
    return {
      name,
      address: started.getIpAddress(this.#network.getName()),
      close: async () => void (await started.stop({ timeout: 0 })),
    };
  }

  async start(spec: ContainerSpec): Promise<Container> {
    const { name, image, sandbox, command, args, env, user, group, readOnly, capabilities, mounts, memory } = spec;
    const prepared = new Prepared(image)
      .settings({ ReadonlyRootfs: readOnly, ...(memory === undefined ? {} : { Memory: memory }) })
      .withName(`${sandbox.name}.${name}`)
      .withNetworkMode(`container:${sandbox.name}`)
      .withUser(`${user}:${group}`)
      .withSecurityOpt("no-new-privileges")
      .withDroppedCapabilities("ALL")
      .withAddedCapabilities(...capabilities)
      .withEnvironment({ ...env })
      .withCommand([...args])
      .withBindMounts(
        mounts.map(({ from, to, readOnly: fixed }) => ({ source: from, target: to, mode: fixed ? "ro" : "rw" })),
      );
    if (command !== undefined) prepared.withEntrypoint([...command]);
    const container = new DockerContainer(name, await prepared.start(), this.#client);
    this.#containers.push(container);
    return container;
  }

  async close(): Promise<void> {
    // Sandboxes are oldest: those who use their network go first.
    for (const container of this.#containers.reverse()) await container.remove();
    await this.#network.stop();
  }
}

/** Nothing is waited for: whether a pod is ready is for its probes to say. */
const AT_ONCE: WaitStrategy = {
  waitUntilReady: async () => undefined,
  withStartupTimeout: () => AT_ONCE,
  isStartupTimeoutSet: () => false,
  getStartupTimeout: () => 0,
};

class Prepared extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.withWaitStrategy(AT_ONCE).withAutoRemove(false);
  }

  /** Settings of a host that testcontainers has no word for. */
  settings(settings: Partial<GenericContainer["hostConfig"]>): this {
    Object.assign(this.hostConfig, settings);
    return this;
  }
}

class DockerContainer implements Container {
  readonly name: string;
  readonly ended: Promise<number>;
  readonly #started: StartedTestContainer;
  readonly #client: ContainerRuntimeClient;

  constructor(name: string, started: StartedTestContainer, client: ContainerRuntimeClient) {
    this.name = name;
    this.#started = started;
    this.#client = client;
    this.ended = this.#handle.wait().then(({ StatusCode }: { readonly StatusCode: number }) => StatusCode);
    this.ended.catch(() => undefined);
  }

  get #handle() {
    return this.#client.container.getById(this.#started.getId());
  }

  async exec(argv: readonly string[]): Promise<Finished> {
    const { exitCode, output } = await this.#started.exec([...argv]);
    return { code: exitCode, output };
  }

  async stop(graceSeconds: number): Promise<number> {
    await this.#handle.stop({ t: graceSeconds }).catch(() => undefined);
    return this.ended;
  }

  async kill(): Promise<void> {
    // It may have ended by itself.
    await this.#handle.kill({ signal: "SIGKILL" }).catch(() => undefined);
    await this.ended;
  }

  async remove(): Promise<void> {
    await this.#handle.remove({ force: true, v: true }).catch(() => undefined);
  }

  async log(): Promise<string> {
    const bytes = await this.#handle.logs({ stdout: true, stderr: true, follow: false });
    return unframed(bytes as unknown as Buffer);
  }
}

/** Docker writes a head of eight bytes before each piece of a log: stream, three zeros, length. */
function unframed(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    text += bytes.toString("utf8", at + 8, at + 8 + length);
    at += 8 + length;
  }
  return text;
}
