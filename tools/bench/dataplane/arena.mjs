import { ensureService } from "@lateen/services";
import { Children, pinTo, waitForPort } from "../lib/children.mjs";
import { runH2load } from "../lib/h2load.mjs";
import { freePort } from "../lib/mesh.mjs";
import { cpuSeconds, rssMegabytes } from "../lib/process.mjs";
import { runWrk } from "../lib/wrk.mjs";
import { writeCertificates } from "./certificates.mjs";
import { backend, PROGRAMS } from "./programs.mjs";

export const NEEDED = ["nginx", "nginx-stream", "haproxy", "envoy", "wrk", "h2load"];

/** Runs before anything is measured. Each makes its connections anew: code compiled before a connection ended is thrown away when one does. */
const WARM_RUNS = 6;
const WARM_SECONDS = 2;

/** @typedef {{ name: string, pid: number, port: number, scheme: string }} Running */

/** Starts programs side by side: backend and load on core 0, the proxies on core 1, which only one of them uses at a time. */
export class Arena {
  #children = new Children();
  #found = Object.fromEntries(NEEDED.map((name) => [name, ensureService(name)]));
  #certificates = writeCertificates(this.#children.folder);
  #count = 0;

  get folder() {
    return this.#children.folder;
  }

  /** What cannot be had, with its reason. */
  get missing() {
    return Object.values(this.#found).filter(({ path }) => path === undefined);
  }

  version(/** @type {string} */ name) {
    return this.#found[name].version;
  }

  /** @returns {Promise<number>} the port */
  async startBackend(/** @type {{ http2?: boolean, tls?: boolean }} */ options = {}) {
    const place = await this.#place(`backend-${this.#count++}`, 0);
    const child = this.#children.start([...pinTo(0), ...backend(place, options)]);
    await waitForPort(place.port, child);
    return place.port;
  }

  /** @param {import("./cases.mjs").Contestant} contestant @param {number} backendPort @returns {Promise<Running>} */
  async start({ name, program, shape, options }, backendPort) {
    const place = await this.#place(`${name}-${this.#count++}`, backendPort);
    const child = this.#children.start([...pinTo(1), ...PROGRAMS[program](shape, place, options)]);
    await waitForPort(place.port, child);
    return { name, pid: child.pid, port: place.port, scheme: shape.tlsDown ? "https" : "http" };
  }

  async #place(name, backendPort) {
    return {
      folder: this.folder,
      name,
      port: await freePort(),
      admin: await freePort(),
      backend: backendPort,
      certificates: this.#certificates,
      found: this.#found,
    };
  }

  /** One run of a load. CPU in microseconds per request and milliseconds per Gbit read. */
  async measure(
    /** @type {Running} */ running,
    /** @type {import("./cases.mjs").Load} */ load,
    /** @type {number} */ seconds,
  ) {
    const url = `${running.scheme}://127.0.0.1:${running.port}${load.path}`;
    const { connections, headers = [] } = load;
    const pin = pinTo(0);
    const before = cpuSeconds(running.pid);
    const run =
      load.tool === "wrk"
        ? await runWrk({ wrk: this.#found.wrk.path, url, connections, seconds, pin, headers: [...headers] })
        : await runH2load({
            h2load: this.#found.h2load.path,
            url,
            connections,
            streams: load.streams,
            seconds,
            pin,
            headers,
          });
    const after = cpuSeconds(running.pid);
    const cpu = after.total - before.total;
    return {
      ...run,
      cpuPerRequest: (cpu / run.requests) * 1e6,
      cpuPerGbit: "bytes" in run ? (cpu * 1e3) / ((run.bytes * 8) / 1e9) : Number.NaN,
      rss: rssMegabytes(running.pid),
    };
  }

  /** Load until just-in-time compilers are done. */
  async warm(/** @type {Running} */ running, /** @type {import("./cases.mjs").Load} */ load) {
    for (let i = 0; i < WARM_RUNS; i++) await this.measure(running, load, WARM_SECONDS);
  }

  /** Requests at a fixed rate, whatever the answers do. */
  openLoop(/** @type {Running} */ running, /** @type {number} */ perSecond, /** @type {number} */ seconds) {
    return runH2load({
      h2load: this.#found.h2load.path,
      url: `http://127.0.0.1:${running.port}/1k`,
      connections: 256,
      seconds,
      pin: pinTo(0),
      http1: true,
      rate: { perSecond, log: `${this.folder}/${running.name}.requests` },
    });
  }

  async stop(/** @type {readonly Running[]} */ running) {
    for (const { pid } of running) await this.#children.stopOne(pid);
  }

  close() {
    return this.#children.stop();
  }
}
