import type { Clock, Logger } from "@lateen/kernel";
import { controlPlaneUnavailable } from "../errors.ts";
import type { MeshIdentity } from "../identity.ts";
import { freePort, probePort } from "../net/loopback.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import { type SocketResponse, socketRequest } from "../socket-client.ts";
import type { StateDir } from "../state-dir.ts";
import {
  addressesOf,
  COMPONENT_KINDS,
  type Component,
  type ComponentKind,
  componentFlags,
  componentPlan,
  portsOf,
} from "./component-plan.ts";
import { ComponentProcess } from "./component-process.ts";
import { type ControlPlane, type ControlPlaneAddresses, readJson } from "./control-plane.ts";
import { mergeSyncz, mergeWaits, type NamedAnswer } from "./merge-answers.ts";
import { type NatsAccess, type NatsChoice, NatsProcess } from "./nats-process.ts";
import type { ControlPlanePorts } from "./ports.ts";

export interface SeparateControlPlaneOptions {
  /** Program and first arguments of each component's app. */
  readonly commands: Readonly<Record<ComponentKind, readonly string[]>>;
  /** Of each component. */
  readonly replicas: number;
  /** Without it configuration travels over gRPC alone. */
  readonly nats: NatsChoice | undefined;
  /** Full path of `setpriv`, when there is one. */
  readonly setpriv: string | undefined;
  readonly state: StateDir;
  /** Files and directories of configuration, the built-in file first. */
  readonly configPaths: readonly string[];
  readonly clusterId: string;
  /** Where proxies reach it; people do on 127.0.0.1. */
  readonly host: string;
  readonly trustDomain: string;
  readonly identity: Pick<MeshIdentity, "mint" | "rootPem">;
  readonly inherited: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly ledger: ProcessLedger;
  readonly logger: Logger;
  readonly onLine: (component: string, stream: "stdout" | "stderr", line: string) => void;
  /** At least one of each kind serves (again). */
  readonly onReady: (ports: ControlPlanePorts) => void;
  readonly onDown: () => void;
}

/** Where NATS servers listen for clients. */
const NATS_PORT = 4222;

/** Every component in processes of its own, several of each: what a cluster runs, on one machine. Ready while one of each kind is. */
export class SeparateControlPlane implements ControlPlane {
  readonly #options: SeparateControlPlaneOptions;
  #components: readonly Component[] = [];
  #processes: readonly ComponentProcess[] = [];
  #nats: NatsProcess | undefined;
  #started = false;
  #ready = false;
  #stopping = false;

  constructor(options: SeparateControlPlaneOptions) {
    this.#options = options;
  }

  get ports(): ControlPlanePorts | undefined {
    if (!this.#started) return undefined;
    const first = (kind: ComponentKind, option: string) => portsOf(this.#components, kind, option)[0] ?? 0;
    return {
      xds: first("pilot", "xds"),
      ca: first("citadel", "ca"),
      config: first("galley", "config"),
      als: first("mixer", "telemetry"),
      metrics: first("pilot", "metrics"),
      http: first("pilot", "http"),
      prometheus: first("mixer", "prometheus"),
    };
  }

  get addresses(): ControlPlaneAddresses | undefined {
    if (!this.#started) return undefined;
    const at = (kind: ComponentKind, option: string) => addressesOf(this.#components, kind, option, this.#options.host);
    return {
      discovery: at("pilot", "xds"),
      ca: at("citadel", "ca"),
      caName: "istio-citadel.istio-system.svc",
      config: at("galley", "config"),
      configName: "istio-galley.istio-system.svc",
      telemetry: at("mixer", "telemetry"),
      telemetryName: "istio-mixer.istio-system.svc",
      accessLogPorts: portsOf(this.#components, "mixer", "telemetry"),
    };
  }

  get ready(): boolean {
    return this.#ready;
  }

  get processes(): readonly string[] {
    return [...this.#components.map(({ name }) => name), ...(this.#nats === undefined ? [] : ["nats"])];
  }

  start(): void {
    void this.#start().catch((error: unknown) =>
      this.#options.logger.error({ event: "components.not_started", error }),
    );
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#processes.map((one) => one.stop(graceMs)));
    await this.#nats?.stop(graceMs);
  }

  async refreshTokens(): Promise<void> {
    for (const one of this.#processes) await one.refreshToken();
  }

  read(path: string): Promise<unknown> {
    return readJson(this, path);
  }

  /** Configuration is the leading galley's; questions about proxies go to every pilot where the answer depends on it, else to one. */
  async request(method: string, path: string, body?: unknown, timeoutMs?: number): Promise<SocketResponse> {
    const ask = {
      method,
      path,
      ...(body === undefined ? {} : { body }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    };
    if (path.startsWith("/config/")) return this.#first("galley", ask, () => true);
    const page = path.split("?")[0];
    if (page === "/debug/syncz") return this.#merged(ask, mergeSyncz);
    if (page === "/debug/wait") return this.#merged(ask, mergeWaits);
    // Only the pilot that a proxy is connected to knows it.
    return this.#first("pilot", ask, ({ status }) => status !== 404);
  }

  async #start(): Promise<void> {
    const { state, replicas, host, commands } = this.#options;
    const taken = new Set<number>();
    const portOf = async (wanted: number): Promise<number> => {
      // Components listen for proxies there, and for people here.
      const places = [...new Set([host, "127.0.0.1"])];
      const probed = await Promise.all(places.map((place) => probePort(place, wanted)));
      const usual = wanted !== 0 && !taken.has(wanted) && probed.every((state) => state === "free");
      let port = usual ? wanted : await freePort(places);
      while (taken.has(port)) port = await freePort(places);
      taken.add(port);
      return port;
    };
    this.#components = await componentPlan({ state, replicas, portOf });
    const nats = await this.#natsAccess(portOf);
    this.#processes = this.#components.map((component) => this.#process(component, commands[component.kind], nats));
    this.#started = true;
    if (!this.#stopping) await this.#nats?.start();
    if (!this.#stopping) await Promise.all(this.#processes.map((one) => one.start()));
  }

  async #natsAccess(portOf: (wanted: number) => Promise<number>): Promise<NatsAccess | undefined> {
    const { nats, state, onLine } = this.#options;
    if (nats === undefined) return undefined;
    if (nats.kind === "running") return { url: nats.url, credentials: undefined };
    this.#nats = new NatsProcess({
      ...this.#options,
      program: nats.program,
      folder: state.nats,
      port: await portOf(NATS_PORT),
      onLine: (stream, line) => onLine("nats", stream, line),
    });
    return this.#nats.access;
  }

  #process(component: Component, command: readonly string[], nats: NatsAccess | undefined): ComponentProcess {
    const { identity, inherited, clock, ledger, logger, onLine } = this.#options;
    return new ComponentProcess({
      component,
      argv: [...command, ...componentFlags(component, this.#components, { ...this.#options, nats })],
      identity,
      inherited,
      clock,
      ledger,
      logger,
      onLine: (stream, line) => onLine(component.name, stream, line),
      onChange: () => this.#changed(),
    });
  }

  #changed(): void {
    const ready = COMPONENT_KINDS.every((kind) =>
      this.#processes.some((one) => one.component.kind === kind && one.ready),
    );
    if (ready === this.#ready || this.#stopping) return;
    this.#ready = ready;
    const { ports } = this;
    if (ready && ports !== undefined) this.#options.onReady(ports);
    else this.#options.onDown();
  }

  #owned(kind: ComponentKind): readonly { readonly name: string; readonly socketPath: string }[] {
    return this.#components.flatMap(({ kind: own, name, socket }) =>
      own === kind && socket !== undefined ? [{ name, socketPath: socket }] : [],
    );
  }

  /** The first answer that is good enough, else the last one. */
  async #first(
    kind: ComponentKind,
    ask: { readonly method: string; readonly path: string; readonly body?: unknown; readonly timeoutMs?: number },
    enough: (response: SocketResponse) => boolean,
  ): Promise<SocketResponse> {
    let last: SocketResponse | undefined;
    let failure: unknown = new Error(`no ${kind} is running`);
    for (const { socketPath } of this.#owned(kind)) {
      try {
        last = await socketRequest({ socketPath, ...ask });
        if (enough(last)) return last;
      } catch (error) {
        failure = error;
      }
    }
    if (last !== undefined) return last;
    throw controlPlaneUnavailable(failure);
  }

  /** Of those that answer; a pilot that is gone has no proxies. */
  async #merged(
    ask: { readonly method: string; readonly path: string; readonly timeoutMs?: number },
    merge: (answers: readonly NamedAnswer[]) => unknown,
  ): Promise<SocketResponse> {
    const asked = await Promise.allSettled(
      this.#owned("pilot").map(async ({ name, socketPath }) => ({
        name,
        response: await socketRequest({ socketPath, ...ask }),
      })),
    );
    const answers = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const refused = answers.find(({ response }) => response.status !== 200);
    if (refused !== undefined) return refused.response;
    const [first] = answers;
    if (first === undefined)
      throw controlPlaneUnavailable(asked[0]?.status === "rejected" ? asked[0].reason : undefined);
    const merged = merge(answers.map(({ name, response }) => ({ name, answer: JSON.parse(response.body) as unknown })));
    return { ...first.response, body: JSON.stringify(merged) };
  }
}
