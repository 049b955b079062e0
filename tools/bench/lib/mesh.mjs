/** A local mesh with the Bookinfo sample in a throw-away state directory, started through the bundled CLI. */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const repository = resolve(import.meta.dirname, "../../..");
const cli = join(repository, "apps/cli/bin/lateen.mjs");

/** @returns {Promise<number>} */
export const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** One GET on a kept connection. @returns {Promise<{ status: number, headers: http.IncomingHttpHeaders, body: string }>} */
export function get(url, { headers = {}, agent } = {}) {
  return new Promise((done, fail) => {
    const request = http.get(url, { headers, agent, timeout: 30_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => done({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on("error", fail);
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 30 s")));
    request.on("error", fail);
  });
}

export class BenchMesh {
  folder = mkdtempSync(join(tmpdir(), "lateen-bench-"));
  config = join(this.folder, "config");
  ingress = 0;
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #up;
  output = "";
  #settings;

  /** @param {Record<string, string>} [settings] variables of the mesh's own programs */
  constructor(settings = {}) {
    this.#settings = settings;
  }

  async prepare() {
    mkdirSync(this.config);
    const sample = join(repository, "samples/bookinfo");
    for (const name of ["bookinfo.yaml", "gateway.yaml", "destination-rules.yaml", "lateen.yaml", "src"])
      cpSync(join(sample, name), join(this.config, name), { recursive: true });
    this.ingress = await freePort();
    return this;
  }

  write(name, text) {
    writeFileSync(join(this.config, name), text);
  }

  url(path) {
    return `http://127.0.0.1:${this.ingress}${path}`;
  }

  get env() {
    return { ...process.env, ...this.#settings, LATEEN_HOME: join(this.folder, "home"), NO_COLOR: "1" };
  }

  start() {
    const argv = [cli, "up", "-f", this.config, "--ingress-port", String(this.ingress)];
    this.#up = spawn(process.execPath, argv, { env: this.env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#up.stdout, this.#up.stderr])
      stream?.on("data", (chunk) => (this.output = (this.output + chunk).slice(-8_000)));
  }

  get pid() {
    return this.#up?.pid ?? 0;
  }

  /** Runs a command of the CLI. @returns {Promise<string>} its standard output */
  lateen(...args) {
    return new Promise((done) => {
      const child = spawn(process.execPath, [cli, ...args], { env: this.env, stdio: ["ignore", "pipe", "ignore"] });
      let text = "";
      child.stdout.on("data", (chunk) => (text += chunk));
      child.on("close", () => done(text));
    });
  }

  /** Waits until `probe` is true, asking every `everyMs`. */
  async until(what, probe, { timeoutMs = 30_000, everyMs = 10 } = {}) {
    const deadline = performance.now() + timeoutMs;
    while (!(await probe().catch(() => false))) {
      if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms\n${this.output}`);
      await new Promise((done) => setTimeout(done, everyMs));
    }
  }

  /** A page with details, reviews and stars. */
  async pageIsComplete() {
    const { status, body } = await get(this.url("/productpage"));
    return status === 200 && body.includes("Richard Henry Dana") && body.includes("Reviewer1") && body.includes("★");
  }

  async stop() {
    const up = this.#up;
    if (up !== undefined && up.exitCode === null) {
      const ended = new Promise((done) => up.on("exit", done));
      up.kill("SIGTERM");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
