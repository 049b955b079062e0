import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type Clock, type Logger, messageOf, type Scope, silentLogger, systemClock } from "@lateen/kernel";
import { decodeObject, encodeObject, keyOf } from "@lateen/mesh-model";
import type { RegistryDelta, RegistryObject, ServiceRegistry } from "@lateen/ports";
import { isMissing } from "../files/atomic-write.ts";
import { watchDirectories } from "../files/watch-directories.ts";

export interface PodRegistryOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** A change that no event announced is found after this time. */
const RESCAN_MS = 1000;
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * What runs, from a JSON file `{"metadata": {"resourceVersion"}, "items": [Pod, Endpoints, EndpointSlice, Namespace …]}` that its writer
 * replaces atomically; a new version is delivered also when it changes nothing. A file
 * that does not exist yet is an empty registry. A file that vanishes or does not parse later changes nothing: traffic keeps
 * flowing to the endpoints known last, and the log says so.
 */
export function filePodRegistry(file: string, options: PodRegistryOptions = {}): ServiceRegistry {
  return {
    async watch(scope, receive) {
      await new RegistryWatcher(file, options, receive).start(scope);
    },
  };
}

interface Known {
  readonly object: RegistryObject;
  readonly json: string;
}

interface Contents {
  readonly version: string | undefined;
  readonly known: ReadonlyMap<string, Known>;
}

class RegistryWatcher {
  readonly #file: string;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #receive: (delta: RegistryDelta) => void;
  #known: ReadonlyMap<string, Known> | undefined;
  #version: string | undefined;
  #text: string | undefined;
  #problem = "";
  #pass: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(file: string, options: PodRegistryOptions, receive: (delta: RegistryDelta) => void) {
    this.#file = file;
    this.#logger = (options.logger ?? silentLogger).child({ component: "pod-registry" });
    this.#clock = options.clock ?? systemClock();
    this.#receive = receive;
  }

  async start(scope: Scope): Promise<void> {
    const directories = await watchDirectories([dirname(this.#file)], {
      onEvent: () => this.#poke(),
      onError: (error) => this.#logger.warn({ event: "registry.watch_failed", error: String(error) }),
    });
    const cancel = this.#clock.every(RESCAN_MS, () => this.#poke());
    const first = Promise.withResolvers<void>();
    this.#onFirst = first.resolve;
    scope.defer(async () => {
      this.#closed = true;
      cancel();
      first.resolve();
      await directories.close();
      await this.#pass;
    });
    this.#poke();
    await first.promise;
  }

  #onFirst: () => void = () => undefined;

  #poke(): void {
    if (this.#closed) return;
    if (this.#pass) {
      this.#again = true;
      return;
    }
    this.#pass = this.#look().finally(() => {
      this.#pass = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.#poke();
    });
  }

  async #look(): Promise<void> {
    const text = await this.#read();
    if (text === undefined || this.#closed || text === this.#text) return;
    const next = this.#parse(text);
    if (!next) return;
    this.#text = text;
    this.#problem = "";
    this.#deliver(next);
  }

  async #read(): Promise<string | undefined> {
    try {
      const text = await readFile(this.#file, "utf8");
      if (text.length <= MAX_BYTES) return text;
      this.#complain(`larger than ${MAX_BYTES} bytes`);
    } catch (error) {
      if (isMissing(error) && this.#known === undefined) return '{"items":[]}';
      this.#complain(messageOf(error));
    }
    return undefined;
  }

  #parse(text: string): Contents | undefined {
    let items: unknown;
    let version: string | undefined;
    try {
      const value: unknown = JSON.parse(text);
      items = typeof value === "object" && value !== null && "items" in value ? value.items : undefined;
      version = versionOf(value);
    } catch (error) {
      this.#complain(messageOf(error));
      return undefined;
    }
    if (!Array.isArray(items)) {
      this.#complain("no list `items`");
      return undefined;
    }
    const next = new Map<string, Known>();
    for (const item of items) {
      const decoded = decodeObject(item, { file: this.#file, line: 1, column: 1 });
      if (decoded.ok && isRegistryObject(decoded.object)) {
        next.set(keyOf(decoded.object), {
          object: decoded.object,
          json: JSON.stringify(encodeObject(decoded.object)),
        });
      } else {
        const reason = decoded.ok ? "not a kind of the registry" : decoded.diagnostics.map((d) => d.message).join("; ");
        this.#logger.warn({ event: "registry.item_ignored", item: describe(decoded), reason });
      }
    }
    return { version, known: next };
  }

  #deliver({ version, known: next }: Contents): void {
    const before = this.#known;
    this.#known = next;
    const upserted: RegistryObject[] = [];
    for (const [key, known] of next) {
      if (before?.get(key)?.json !== known.json) upserted.push(known.object);
    }
    const removed = before ? [...before.keys()].filter((key) => !next.has(key)) : [];
    const sameVersion = version === this.#version;
    this.#version = version;
    if (before && upserted.length === 0 && removed.length === 0 && sameVersion) return;
    try {
      this.#receive({
        snapshot: before === undefined,
        upserted,
        removed,
        ...(version === undefined ? {} : { version }),
      });
    } catch (error) {
      this.#logger.error({ event: "registry.receiver_failed", error: messageOf(error) });
    }
    this.#onFirst();
  }

  #complain(reason: string): void {
    if (reason === this.#problem) return;
    this.#problem = reason;
    this.#logger.error({ event: "registry.unreadable", file: this.#file, reason });
  }
}

function versionOf(list: unknown): string | undefined {
  const metadata = typeof list === "object" && list !== null && "metadata" in list ? list.metadata : undefined;
  if (typeof metadata !== "object" || metadata === null || !("resourceVersion" in metadata)) return undefined;
  return String(metadata.resourceVersion);
}

function isRegistryObject(object: { readonly kind: string }): object is RegistryObject {
  switch (object.kind) {
    case "Pod":
    case "Endpoints":
    case "EndpointSlice":
    case "Namespace":
      return true;
    default:
      return false;
  }
}

function describe(decoded: ReturnType<typeof decodeObject>): string {
  return decoded.ok ? keyOf(decoded.object) : `${decoded.kind}/${decoded.namespace}/${decoded.name}`;
}
