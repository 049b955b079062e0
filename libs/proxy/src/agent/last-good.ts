import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, type Logger, messageOf } from "@lateen/kernel";
import { typeUrl as typeUrlOf } from "@lateen/proto";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import type { Any } from "@lateen/proto/google/protobuf/any";

/** A resource as it came from the control plane. */
export interface KeptResource {
  readonly name: string;
  readonly version: string;
  readonly any: Any;
}
/** By type URL, then name. */
export type KeptResources = ReadonlyMap<string, ReadonlyMap<string, KeptResource>>;

const MAGIC = Buffer.from("LTNLG001", "latin1");
const DIGEST_BYTES = 32;
const FILE = "config.pb";
const SECRET_TYPE = typeUrlOf(Secret);
/** Quiet time after a change before it is written, so that a burst of updates is one write. */
const DEBOUNCE_MS = 500;

/**
 * The configuration that was last in force, on disk: what a proxy starts from while no control plane answers. One file, replaced
 * atomically, guarded by a digest: all types belong together or the file is not used. Secrets never get here, nor does what has no
 * version: that comes from a file and is read again.
 * Layout: magic, SHA-256 of the rest, then per type a 32-bit length and a DeltaDiscoveryResponse.
 */
export class LastGood {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #pending: (() => KeptResources) | undefined;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(directory: string, clock: Clock, logger: Logger) {
    this.#directory = directory;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** What is on disk; undefined when there is nothing or it is damaged (which is logged). */
  async load(): Promise<KeptResources | undefined> {
    let bytes: Buffer;
    try {
      bytes = await readFile(join(this.#directory, FILE));
    } catch {
      return undefined;
    }
    try {
      return decodeFile(bytes);
    } catch (error) {
      this.#logger.warn({ event: "last_good.damaged", directory: this.#directory, reason: messageOf(error) });
      return undefined;
    }
  }

  /** Writes soon; `read` is asked at that time. */
  save(read: () => KeptResources): void {
    this.#pending = read;
    this.#cancel ??= this.#clock.after(DEBOUNCE_MS, () => {
      this.#cancel = undefined;
      void this.flush();
    });
  }

  /** Writes what waits, now. A failure is logged: the proxy runs on without a memory. */
  flush(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    const read = this.#pending;
    this.#pending = undefined;
    if (read === undefined) return this.#writing;
    this.#writing = this.#writing.then(() => this.#write(encodeFile(read())));
    return this.#writing;
  }

  async #write(parts: readonly Uint8Array[]): Promise<void> {
    const temporary = join(this.#directory, `${FILE}.tmp`);
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      const file = await open(temporary, "w", 0o600);
      try {
        await file.writev(parts);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, join(this.#directory, FILE));
    } catch (error) {
      this.#logger.error({ event: "last_good.not_written", directory: this.#directory, reason: messageOf(error) });
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }
}

function encodeFile(kept: KeptResources): readonly Uint8Array[] {
  const body: Uint8Array[] = [];
  const digest = createHash("sha256");
  const add = (bytes: Uint8Array): void => {
    digest.update(bytes);
    body.push(bytes);
  };
  for (const [typeUrl, resources] of kept) {
    if (typeUrl === SECRET_TYPE) continue;
    const message = DeltaDiscoveryResponse.fromPartial({ typeUrl });
    for (const { name, version, any } of resources.values()) {
      if (version !== "") message.resources.push({ name, version, resource: any, aliases: [], ttl: undefined });
    }
    const encoded = DeltaDiscoveryResponse.encode(message).finish();
    const length = Buffer.alloc(4);
    length.writeUInt32BE(encoded.length);
    add(length);
    add(encoded);
  }
  return [MAGIC, digest.digest(), ...body];
}

function decodeFile(bytes: Buffer): KeptResources {
  const start = MAGIC.length + DIGEST_BYTES;
  if (bytes.length < start || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error("not a last-good file");
  const digest = createHash("sha256").update(bytes.subarray(start)).digest();
  if (!digest.equals(bytes.subarray(MAGIC.length, start))) throw new Error("digest differs");
  const kept = new Map<string, Map<string, KeptResource>>();
  for (let at = start; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const message = DeltaDiscoveryResponse.decode(bytes.subarray(at + 4, at + 4 + length));
    const resources = new Map<string, KeptResource>();
    for (const { name, version, resource } of message.resources) {
      if (resource !== undefined) resources.set(name, { name, version, any: resource });
    }
    kept.set(message.typeUrl, resources);
    at += 4 + length;
  }
  return kept;
}
