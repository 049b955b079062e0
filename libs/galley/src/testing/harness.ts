import { type Clock, type LogFields, type Logger, Scope } from "@lateen/kernel";
import { keyOf, type ResourceKey } from "@lateen/mesh-model";
import {
  type AcceptedObject,
  type Bus,
  CONFIG_TOPIC,
  type ConfigSource,
  type ConfigStore,
  type RawDocument,
  type StateDelta,
  type StoreChange,
  type StoredState,
} from "@lateen/ports";
import { createGalley, type Galley } from "../index.ts";

/** Files that a test writes. */
export class ScriptedSource implements ConfigSource {
  readonly #files = new Map<string, RawDocument>();
  #receive: ((documents: readonly RawDocument[]) => void) | undefined;

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [file, text] of Object.entries(files)) this.#files.set(file, { file, text });
  }

  watch(scope: Scope, receive: (documents: readonly RawDocument[]) => void): Promise<void> {
    this.#receive = receive;
    scope.defer(() => {
      this.#receive = undefined;
    });
    receive([...this.#files.values()]);
    return Promise.resolve();
  }

  /** undefined deletes. */
  write(file: string, text: string | undefined): void {
    this.deliver({ file, text });
  }

  deliver(document: RawDocument): void {
    if (document.text === undefined && document.unreadable === undefined) this.#files.delete(document.file);
    else this.#files.set(document.file, document);
    this.#receive?.([document]);
  }
}

/** A store that survives the galley above it, and fails when told to. */
export class MemoryStore implements ConfigStore {
  state: StoredState = { revision: 0, objects: new Map(), rejected: [], overrides: [] };
  readonly commits: StoreChange[] = [];
  failure: Error | undefined;

  load(): Promise<StoredState> {
    return Promise.resolve(this.state);
  }

  commit(change: StoreChange): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    this.commits.push(change);
    const objects = new Map(this.state.objects);
    for (const key of change.removed) objects.delete(key);
    for (const accepted of change.upserted) objects.set(keyOf(accepted.object), accepted);
    this.state = {
      revision: change.revision,
      objects,
      rejected: change.rejected,
      overrides: change.overrides ?? this.state.overrides ?? [],
    };
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Time stands still; timers run when the test says so. */
export class HeldClock implements Clock {
  readonly timers: { readonly ms: number; readonly callback: () => void }[] = [];
  now(): number {
    return Date.UTC(2026, 0, 2, 3, 4, 5);
  }
  monotonic(): number {
    return 0;
  }
  after(ms: number, callback: () => void): () => void {
    this.timers.push({ ms, callback });
    return () => undefined;
  }
  every(): () => void {
    return () => undefined;
  }
  /** Runs what is due. */
  run(): void {
    for (const { callback } of this.timers.splice(0)) callback();
  }
}

export interface Running {
  readonly galley: Galley;
  readonly clock: HeldClock;
  readonly log: readonly LogFields[];
  /** What the bus delivered: snapshot first. */
  readonly deltas: readonly StateDelta<AcceptedObject>[];
  /** Waits until everything delivered so far is decided on and published. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

export async function start(options: {
  readonly source?: ConfigSource;
  readonly store: ConfigStore;
  readonly bus: Bus;
  readonly maxObjects?: number;
}): Promise<Running> {
  const scope = new Scope();
  const clock = new HeldClock();
  const log: LogFields[] = [];
  const deltas: StateDelta<AcceptedObject>[] = [];
  options.bus.state<AcceptedObject>(CONFIG_TOPIC).watch(scope, (delta) => deltas.push(delta));
  const galley = await createGalley({ ...options, scope, clock, logger: recorder(log) });
  return {
    galley,
    clock,
    log,
    deltas,
    async settle() {
      await galley.remove([]).catch(() => undefined);
      await new Promise<void>((resolve) => setImmediate(resolve));
    },
    stop: () => scope.close(),
  };
}

function recorder(log: LogFields[]): Logger {
  const write = (fields: LogFields) => void log.push(fields);
  const logger: Logger = { debug: write, info: write, warn: write, error: write, child: () => logger };
  return logger;
}

/** A ServiceEntry; a host with a blank is not valid. */
export function entry(name: string, host = `${name}.example`): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: ["${host}"]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
`;
}

export function service(name: string, clusterIP?: string): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec:
  ${clusterIP === undefined ? "" : `clusterIP: ${clusterIP}`}
  selector: {app: ${name}}
  ports: [{port: 80, name: http}]
`;
}

export const docs = (...texts: readonly string[]): string => texts.join("---\n");

/** Host of every ServiceEntry in force, by name. */
export function hosts(objects: ReadonlyMap<ResourceKey, AcceptedObject>): Record<string, string | undefined> {
  const out: Record<string, string | undefined> = {};
  for (const { object } of objects.values()) {
    if (object.kind === "ServiceEntry") out[object.metadata.name] = object.spec.hosts[0];
  }
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => (a < b ? -1 : 1)));
}
