import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { call } from "@lateen/e2e-embedded";
import { eventually } from "@lateen/test-support";
import type { Container, Engine, Mount, Sandbox } from "./engine.ts";
import { bytesOf, fieldOf, type Pod, type PodContainer, type Probe, type SecurityContext } from "./pod.ts";
import { makeVolume, type VolumeSources } from "./volumes.ts";

const PATIENCE_MS = 180_000;
/** Kubernetes' own. */
const GRACE_SECONDS = 30;

export interface KubeletOptions extends VolumeSources {
  readonly engine: Engine;
  readonly folder: string;
  /** Files that all containers see in /etc: `hosts`, and `resolv.conf`. */
  readonly etc: string;
  /** Of every container, as Kubernetes gives them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Folder with what a container needs to speak to the API server. */
  account(pod: Pod): Promise<string>;
}

/** A pod that runs. */
export interface RunningPod {
  readonly pod: Pod;
  readonly address: string;
  /** By name, the last of each; those that have ended, too. */
  readonly containers: ReadonlyMap<string, Container>;
  /** Resolves when every readiness probe has been answered. */
  ready(): Promise<void>;
  /** SIGKILL to all, as when a node fails; they are not started again. */
  kill(): Promise<void>;
  /** SIGTERM to all, SIGKILL after the pod's grace period; the network goes with the last. @returns exit codes by name. */
  stop(): Promise<Readonly<Record<string, number>>>;
}

/**
 * Starts pods as Kubernetes' node agent does: one network, volumes, init containers one after the other, then the
 * containers, again when they end.
 */
export class Kubelet {
  readonly #options: KubeletOptions;

  constructor(options: KubeletOptions) {
    this.#options = options;
  }

  async run(pod: Pod): Promise<RunningPod> {
    const { engine } = this.#options;
    const { metadata, spec } = pod;
    const sysctls = Object.fromEntries((spec.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value]));
    const sandbox = await engine.sandbox(`${metadata.namespace}.${metadata.name}`, sysctls);
    const mounts = await this.#volumes(pod, sandbox);
    const containers = new Map<string, Container>();
    for (const wanted of spec.initContainers ?? []) {
      const container = await this.#start(pod, wanted, sandbox, mounts);
      containers.set(wanted.name, container);
      const code = await container.ended;
      if (code !== 0) throw new Error(`${metadata.name}: ${wanted.name} ended with ${code}: ${await container.log()}`);
    }
    let stopping = false;
    /** Runs a container until the pod ends: what ends by itself is started again. */
    const keep = async (wanted: PodContainer, number: number): Promise<Container> => {
      const container = await this.#start(pod, wanted, sandbox, mounts, number);
      containers.set(wanted.name, container);
      void container.ended.then(() => (stopping ? undefined : keep(wanted, number + 1))).catch(() => undefined);
      return container;
    };
    for (const wanted of spec.containers) {
      const container = await keep(wanted, 1);
      const hook = wanted.lifecycle?.postStart?.exec?.command;
      if (hook === undefined) continue;
      const { code, output } = await container.exec(hook);
      if (code !== 0) throw new Error(`${metadata.name}: hook ended with ${code}: ${output}${await container.log()}`);
    }
    const grace = spec.terminationGracePeriodSeconds ?? GRACE_SECONDS;
    const running = () => spec.containers.flatMap(({ name }) => containers.get(name) ?? []);
    /** Its hook, and what is left of the pod's time after that. */
    const end = async ({ name, lifecycle }: PodContainer): Promise<readonly [string, number]> => {
      const container = containers.get(name);
      if (container === undefined) return [name, 0];
      const { exec, sleep } = lifecycle?.preStop ?? {};
      if (exec !== undefined) await container.exec(exec.command);
      if (sleep !== undefined) await setTimeout(sleep.seconds * 1000);
      return [name, await container.stop(grace - (sleep?.seconds ?? 0))];
    };
    return {
      pod,
      address: sandbox.address,
      containers,
      ready: () => this.#ready(pod, sandbox.address),
      stop: async () => {
        stopping = true;
        const codes = await Promise.all(spec.containers.map(end));
        await sandbox.close();
        return Object.fromEntries(codes);
      },
      kill: async () => {
        stopping = true;
        await Promise.all(running().map((each) => each.kill()));
      },
    };
  }

  async #volumes(pod: Pod, { name, address }: Sandbox): Promise<ReadonlyMap<string, string>> {
    const folder = join(this.#options.folder, name);
    const places = new Map<string, string>();
    for (const volume of pod.spec.volumes ?? [])
      places.set(volume.name, await makeVolume(folder, volume, pod, address, this.#options));
    return places;
  }

  async #start(
    pod: Pod,
    wanted: PodContainer,
    sandbox: Sandbox,
    volumes: ReadonlyMap<string, string>,
    number = 1,
  ): Promise<Container> {
    const { engine, etc, environment } = this.#options;
    const context: SecurityContext = { ...pod.spec.securityContext, ...wanted.securityContext };
    const env = { ...environment, ...(await this.#environment(pod, wanted, sandbox.address)) };
    const mounts: Mount[] = ["hosts", "resolv.conf"].map((name) => ({
      ...{ from: join(etc, name), to: `/etc/${name}` },
      readOnly: true,
    }));
    for (const { name, mountPath, readOnly = false } of wanted.volumeMounts ?? [])
      mounts.push({ from: volumes.get(name) ?? missing(`volume ${name}`), to: mountPath, readOnly });
    if (pod.spec.automountServiceAccountToken === true)
      mounts.push({ from: await this.#options.account(pod), to: ACCOUNT, readOnly: true });
    const memory = wanted.resources?.limits?.memory;
    return engine.start({
      name: number === 1 ? wanted.name : `${wanted.name}-${number}`,
      image: wanted.image,
      sandbox,
      ...(wanted.command === undefined ? {} : { command: wanted.command }),
      args: (wanted.args ?? []).map((arg) => expand(arg, env)),
      env,
      user: context.runAsUser ?? 1000,
      group: context.runAsGroup ?? 1000,
      readOnly: context.readOnlyRootFilesystem ?? false,
      capabilities: context.capabilities?.add ?? [],
      mounts,
      ...(memory === undefined ? {} : { memory: bytesOf(memory) }),
    });
  }

  async #environment(
    pod: Pod,
    { env = [], resources }: PodContainer,
    address: string,
  ): Promise<Readonly<Record<string, string>>> {
    const values: Record<string, string> = {};
    for (const { name, value, valueFrom } of env) {
      if (value !== undefined) values[name] = expand(value, values);
      else if (valueFrom?.fieldRef !== undefined) values[name] = fieldOf(pod, address, valueFrom.fieldRef.fieldPath);
      else if (valueFrom?.secretKeyRef !== undefined) {
        const { name: secret, key } = valueFrom.secretKeyRef;
        values[name] = (await this.#options.secret(pod.metadata.namespace, secret))[key] ?? missing(`${secret}/${key}`);
      } else {
        // Whole cores, rounded up: with divisor 0 or 1.
        const cpu = resources?.limits?.[valueFrom?.resourceFieldRef?.resource.replace(/^limits\./, "") ?? ""];
        if (cpu === undefined) throw new Error(`the variable ${name} is not known here`);
        values[name] = String(cpu.endsWith("m") ? Math.ceil(Number(cpu.slice(0, -1)) / 1000) : Number(cpu));
      }
    }
    return values;
  }

  async #ready(pod: Pod, address: string): Promise<void> {
    for (const { name, readinessProbe } of pod.spec.containers) {
      if (readinessProbe === undefined) continue;
      await eventually(`${pod.metadata.name}/${name} is ready`, () => probe(address, readinessProbe), PATIENCE_MS, 100);
    }
  }
}

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

function missing(what: string): never {
  throw new Error(`${what} is not there`);
}

/** `$(NAME)` of the variables before. */
function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\(([A-Za-z_]\w*)\)/g, (all, name: string) => env[name] ?? all);
}

async function probe(address: string, { httpGet, tcpSocket }: Probe) {
  if (httpGet !== undefined) {
    const { status } = await call(`http://${address}:${httpGet.port}${httpGet.path ?? "/"}`);
    if (status < 200 || status >= 400) throw new Error(`it answers ${status}`);
    return true;
  }
  const { promise, resolve, reject } = Promise.withResolvers<true>();
  const socket = connect(tcpSocket?.port ?? 0, address, () => resolve(true));
  socket.on("error", reject);
  return promise.finally(() => socket.destroy());
}
