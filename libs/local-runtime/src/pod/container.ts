import { isAbsolute, resolve } from "node:path";
import { LateenError } from "@lateen/kernel";
import type { PodPlace } from "../net/pod-network.ts";
import { containerRestarts } from "../process/backoff.ts";
import { ManagedProcess, type ProcessExit, type ProcessSpec } from "../process/managed-process.ts";
import type { PodDependencies } from "./dependencies.ts";
import { addContainerEnvironment, type PodFacts, proxyEnvironment } from "./environment.ts";
import type { ImageRule } from "./image-match.ts";
import { askProxy, checkContainer, probeTiming } from "./probe.ts";
import { describeExit, explicitProxyUrl } from "./proxy.ts";
import { ReadinessLoop } from "./readiness.ts";
import type { ServiceLinks } from "./service-links.ts";
import { expandReferences, type SubstitutionContext, substitute, substituteCommand } from "./substitute.ts";
import type { Container, PodPort } from "./types.ts";
import { volumeVariable } from "./volumes.ts";

/** What a container's process needs to know about its pod. */
export interface ContainerInput {
  readonly container: Container;
  readonly rule: ImageRule;
  readonly facts: PodFacts;
  readonly workload: string;
  /** The pod's ports that this container declares, in order. */
  readonly ports: readonly PodPort[];
  readonly links: ServiceLinks;
  readonly volumes: ReadonlyMap<string, string>;
  readonly place: PodPlace | undefined;
  /** `service`: kept running. `init`: runs once to success. */
  readonly role: "service" | "init";
}

/** One container of a pod as a process on this machine. */
export class PodContainer {
  readonly #input: ContainerInput;
  readonly #deps: PodDependencies;
  readonly #process: ManagedProcess;
  readonly #readiness: ReadinessLoop;
  #exit: ProcessExit | undefined;
  /** What was started last; undefined while references cannot be resolved. */
  #spec: ProcessSpec | undefined;
  #succeeded: () => void = () => {};

  constructor(input: ContainerInput, deps: PodDependencies, onChange: () => void) {
    this.#input = input;
    this.#deps = deps;
    const { container, facts, workload, role } = input;
    this.#readiness = new ReadinessLoop({
      clock: deps.clock,
      timing: probeTiming(container.readinessProbe),
      check: () => this.#check(),
      onChange,
    });
    this.#process = new ManagedProcess({
      name: `container ${container.name} of ${facts.namespace}/${facts.name}`,
      kind: "foreign",
      spec: () => this.#prepare(),
      restarts: containerRestarts,
      clock: deps.clock,
      ledger: deps.ledger,
      setpriv: deps.setpriv,
      onLine: (stream, line) =>
        deps.onLine({
          namespace: facts.namespace,
          pod: facts.name,
          workload,
          source: "app",
          container: container.name,
          stream,
          line,
        }),
      onStart: () => {
        this.#exit = undefined;
        if (role === "service") this.#readiness.start();
      },
      onExit: (exit) => {
        this.#exit = exit;
        this.#readiness.stop();
        if (role === "init" && exit.code === 0) this.#succeeded();
        onChange();
      },
    });
  }

  get ready(): boolean {
    return this.#readiness.ready;
  }
  get restarts(): number {
    return this.#process.restarts;
  }
  /** It ended and waits for its next start. */
  get backingOff(): boolean {
    return this.#exit !== undefined;
  }
  /** Why it is not ready. */
  get reason(): string {
    const { name } = this.#input.container;
    if (this.ready) return "";
    if (this.#exit !== undefined) {
      const wait = this.#exit.restartInMs;
      const next = wait === undefined ? "" : `; back-off ${wait / 1000} s`;
      return this.#exit.error === undefined
        ? `container ${name} ended with ${describeExit(this.#exit)}${next}`
        : `container ${name} cannot start: ${this.#exit.error}${next}`;
    }
    if (this.#input.role === "init") return `init container ${name} is running`;
    return `container ${name} is not ready${this.#readiness.reason === "" ? "" : `: ${this.#readiness.reason}`}`;
  }

  start(): void {
    this.#process.start();
  }

  /** For init containers: resolves when the command has ended with 0. */
  async runToSuccess(): Promise<void> {
    const done = new Promise<void>((resolve) => {
      this.#succeeded = resolve;
    });
    this.#process.start();
    await done;
    await this.#process.stop(0);
  }

  /** Starts it without further back-off when what could not be resolved before is there now. */
  retry(): void {
    if (this.#exit?.error === undefined || this.#spec !== undefined) return;
    try {
      containerSpec(this.#input, this.#deps);
    } catch {
      return;
    }
    this.#process.restartNow();
  }

  async stop(graceMs: number): Promise<void> {
    this.#readiness.stop();
    await this.#process.stop(graceMs);
  }

  #check() {
    const { ports, container, facts, place } = this.#input;
    const { readinessProbe: probe } = container;
    if (this.#deps.network.captures && probe?.exec === undefined) {
      const asked = appProbe(container, ports) !== undefined;
      const { timeoutMs } = probeTiming(probe);
      return asked ? askProxy(facts.ip, probePath(container), timeoutMs) : Promise.resolve({ ok: true as const });
    }
    return checkContainer(container.readinessProbe, {
      host: "127.0.0.1",
      portOf: (wanted) =>
        ports.find((port) => port.container === wanted || (port.name !== "" && port.name === wanted))?.privatePort,
      firstPort: ports[0]?.privatePort,
      env: this.#spec?.env ?? {},
      cwd: this.#spec?.cwd ?? "/",
      prefix: place?.appPrefix ?? [],
    });
  }

  async #prepare(): Promise<ProcessSpec> {
    this.#spec = undefined;
    this.#spec = containerSpec(this.#input, this.#deps);
    return this.#spec;
  }
}

/** Where a container's readiness is asked of its pod's proxy. */
function probePath({ name }: Container): string {
  return `/app-health/${name}/readyz`;
}

/** What is asked of the containers of a pod through its proxy, in the form of Istio's injector. */
export function appProbes(
  containers: readonly Container[],
  ports: readonly PodPort[],
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    containers.flatMap((container) => {
      const declared = new Set((container.ports ?? []).map(({ containerPort }) => containerPort));
      const own = ports.filter((port) => declared.has(port.container));
      const probe = appProbe(container, own.length > 0 || containers.length > 1 ? own : ports);
      return probe === undefined ? [] : [[probePath(container), probe]];
    }),
  );
}

/** By the readiness probe, else whether the first port is open; undefined: nothing can be asked. */
function appProbe({ readinessProbe: probe }: Container, ports: readonly PodPort[]): unknown {
  if (probe?.exec !== undefined) return undefined;
  const wanted = probe?.httpGet?.port ?? probe?.tcpSocket?.port ?? probe?.grpc?.port ?? ports[0]?.container;
  const port = typeof wanted === "number" ? wanted : ports.find(({ name }) => name === wanted)?.container;
  if (port === undefined) return undefined;
  const timeoutSeconds = probe?.timeoutSeconds ?? 1;
  if (probe?.httpGet === undefined) return { tcpSocket: { port }, timeoutSeconds };
  return { httpGet: { ...probe.httpGet, port }, timeoutSeconds };
}

/**
 * Command, environment and directory of a container.
 * @throws LTN7010 when a substitution or reference cannot be resolved; the text names all of them.
 */
export function containerSpec(input: ContainerInput, deps: PodDependencies): ProcessSpec {
  const { container, rule, facts, links, volumes } = input;
  const env = new Map(deps.inherited);
  for (const [name, value] of links.environment) env.set(name, value);
  for (const [name, directory] of volumes) env.set(volumeVariable(name), directory);
  const problems: string[] = [];
  const added = addContainerEnvironment(container, facts, deps.world, env);
  if (!added.ok) problems.push(...added.error);
  const { captures } = deps.network;
  if (!captures) {
    for (const [name, value] of proxyEnvironment(explicitProxyUrl(facts.ip), links.addresses)) env.set(name, value);
  }
  const command = [...(container.command ?? []), ...(container.args ?? [])].map((word) => expandReferences(word, env));
  const context: SubstitutionContext = {
    host: captures ? "0.0.0.0" : "127.0.0.1",
    ports: new Map(input.ports.map((port) => [port.container, port.privatePort])),
    service: links.find,
    image: container.image ?? "",
    podName: facts.name,
    podNamespace: facts.namespace,
    podIp: facts.ip,
    command,
    volumes,
  };
  for (const [name, text] of Object.entries(rule.env)) {
    const value = substitute(text, context);
    if (value.ok) env.set(name, value.value);
    else problems.push(`env ${name}: ${value.error}`);
  }
  const argv = substituteCommand(rule.command, context);
  if (!argv.ok) problems.push(`command: ${argv.error}`);
  if (!argv.ok || problems.length > 0) throw unresolved(container.name, rule.source, problems);
  return {
    argv: [
      ...(input.place?.appPrefix ?? []),
      programPath(argv.value[0] ?? "", rule.workingDir),
      ...argv.value.slice(1),
    ],
    env: Object.fromEntries(env),
    cwd: rule.workingDir,
  };
}

/** A program given with a slash is relative to the document's directory, as its arguments are; a bare name is looked up in PATH. */
function programPath(program: string, directory: string): string {
  return program.includes("/") && !isAbsolute(program) ? resolve(directory, program) : program;
}

function unresolved(container: string, source: string, problems: readonly string[]): LateenError {
  return new LateenError({
    code: "LTN7010",
    fault: "user",
    message: `container ${container}: ${problems.join("; ")}`,
    hint: `see ${source} and the Deployment`,
  });
}
