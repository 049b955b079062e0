import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { messageOf } from "@lateen/kernel";
import { compileCidr } from "@lateen/traffic";
import type { CaptureSpec, InboundMapping, WorkerBootstrap } from "../worker/protocol.ts";
import { badProxyConfig } from "./errors.ts";

/** How this proxy's listeners meet the machine: the content of the capture file. */
export type CaptureSettings = Pick<WorkerBootstrap, "capture" | "bindMap" | "bindAddress" | "lowPortOffset">;

/** Without a capture file: listeners bind where the configuration says. */
const PLAIN: CaptureSettings = { capture: { mode: "none" }, bindMap: [], bindAddress: "0.0.0.0", lowPortOffset: 0 };
/** As Istio's init container redirects a pod's traffic. */
const REDIRECTED: CaptureSettings = { ...PLAIN, capture: { mode: "kernel", addresses: [], inbound: [] } };

/**
 * Reads a capture file. Without one the interception mode counts, as the injector sets it (`ISTIO_META_INTERCEPTION_MODE`).
 * @throws LTN5001 when it is missing, no JSON, or a field is not of its kind.
 */
export async function loadCapture(file: string | undefined, interception?: unknown): Promise<CaptureSettings> {
  if (file === undefined) return interception === "REDIRECT" ? REDIRECTED : PLAIN;
  let document: unknown;
  try {
    document = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw badProxyConfig(file, messageOf(error), error);
  }
  const fields = new Fields(file, "");
  const root = fields.record(document);
  return {
    capture: capture(fields.at("capture").record(root.capture), fields.at("capture")),
    bindMap: fields.at("bindMap").list(root.bindMap ?? [], (entry, at) => ({
      port: at.at("port").port(entry.port),
      address: at.at("address").ip(entry.address),
      bindPort: at.at("bindPort").port(entry.bindPort),
    })),
    bindAddress: fields.at("bindAddress").ip(root.bindAddress ?? PLAIN.bindAddress),
    lowPortOffset: fields.at("lowPortOffset").port(root.lowPortOffset ?? 0),
  };
}

function capture(spec: Readonly<Record<string, unknown>>, at: Fields): CaptureSpec {
  if (spec.mode === "none") return { mode: "none" };
  const inbound = (): readonly InboundMapping[] =>
    at.at("inbound").list(spec.inbound, (entry, path) => ({
      containerPort: path.at("containerPort").port(entry.containerPort),
      appAddress: path.at("appAddress").ip(entry.appAddress),
      appPort: path.at("appPort").port(entry.appPort),
    }));
  const virtual =
    spec.virtualRanges === undefined
      ? {}
      : { virtualRanges: at.at("virtualRanges").texts(spec.virtualRanges, (text, path) => path.range(text)) };
  if (spec.mode === "kernel") {
    const addresses = at.at("addresses").texts(spec.addresses, (text, path) => path.ip(text));
    return { mode: "kernel", addresses, inbound: inbound(), ...virtual };
  }
  if (spec.mode !== "proxy-env") at.at("mode").fail('must be "none", "proxy-env" or "kernel"');
  const explicit = at.at("explicitProxy").record(spec.explicitProxy);
  return {
    mode: "proxy-env",
    address: at.at("address").ip(spec.address),
    inbound: inbound(),
    explicitProxy: {
      address: at.at("explicitProxy.address").ip(explicit.address),
      port: at.at("explicitProxy.port").port(explicit.port),
    },
    services: at.at("services").list(spec.services ?? [], (entry, path) => ({
      address: path.at("address").ip(entry.address),
      port: path.at("port").port(entry.port),
      host: path.at("host").text(entry.host),
      destinationPort: path.at("destinationPort").port(entry.destinationPort),
    })),
    ...virtual,
  };
}

/** Readers of one field that say where they are when it is wrong. */
class Fields {
  readonly #file: string;
  readonly #path: string;

  constructor(file: string, path: string) {
    this.#file = file;
    this.#path = path;
  }

  at(name: string): Fields {
    return new Fields(this.#file, this.#path === "" ? name : `${this.#path}.${name}`);
  }
  fail(reason: string): never {
    throw badProxyConfig(this.#file, `${this.#path === "" ? "the document" : this.#path} ${reason}`);
  }
  record(value: unknown): Readonly<Record<string, unknown>> {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return this.fail("must be an object");
    return { ...value };
  }
  list<T>(value: unknown, read: (entry: Readonly<Record<string, unknown>>, at: Fields) => T): readonly T[] {
    if (!Array.isArray(value)) return this.fail("must be a list");
    return value.map((entry: unknown, index) => {
      const at = new Fields(this.#file, `${this.#path}[${index}]`);
      return read(at.record(entry), at);
    });
  }
  texts<T>(value: unknown, read: (entry: unknown, at: Fields) => T): readonly T[] {
    if (!Array.isArray(value)) return this.fail("must be a list");
    return value.map((entry: unknown, index) => read(entry, new Fields(this.#file, `${this.#path}[${index}]`)));
  }
  range(value: unknown): string {
    try {
      compileCidr(this.text(value));
    } catch {
      return this.fail("must be an address range");
    }
    return this.text(value);
  }
  text(value: unknown): string {
    return typeof value === "string" && value !== "" ? value : this.fail("must be a text");
  }
  ip(value: unknown): string {
    return typeof value === "string" && isIP(value) !== 0 ? value : this.fail("must be an IP address");
  }
  port(value: unknown): number {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 65_535) {
      return this.fail("must be a number from 0 to 65535");
    }
    return value;
  }
}
