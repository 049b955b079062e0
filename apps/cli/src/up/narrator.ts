import type { RejectedView, Supervisor, SupervisorEvent } from "@lateen/local-runtime";
import type { Cli } from "../cli.ts";
import { shortPath } from "../mesh/client.ts";
import { type Paint, paint } from "../output/color.ts";
import { ingressUrls } from "./urls.ts";

/** How many waiting workloads are named in a line of progress. */
const NAMED = 3;

/** Tells people what a mesh does: progress and events on stderr, its URLs on stdout. */
export class Narrator {
  readonly #cli: Cli;
  readonly #options: { readonly showLines: boolean; readonly startedAt: number };
  readonly #ink: Paint;
  #redrawn = false;
  #ready = false;

  constructor(cli: Cli, options: { readonly showLines: boolean; readonly startedAt: number }) {
    this.#cli = cli;
    this.#options = options;
    this.#ink = paint(cli.errColor);
  }

  started(mesh: Supervisor): void {
    if (mesh.ingressPort !== 8080) this.#say(`ingress gateway at http://localhost:${mesh.ingressPort}`);
  }

  stopped(): void {
    this.#say("stopped");
  }

  tell(event: SupervisorEvent, mesh: Pick<Supervisor, "ingressPort" | "world"> | undefined): void {
    switch (event.type) {
      case "notice":
        this.#say(event.level === "info" ? event.message : `${this.#ink.warn(`${event.level}:`)} ${event.message}`);
        return;
      case "progress":
        this.#progress(event);
        return;
      case "ready":
        this.#announce(mesh);
        return;
      case "config":
        this.#changed(event);
        return;
      case "rejected":
        this.#say(this.rejection(event.rejected));
        return;
      case "line":
        if (this.#options.showLines && event.line.source === "app") {
          this.#say(`${this.#ink.dim(`${event.line.workload} |`)} ${event.line.line}`);
        }
        return;
      case "control-plane-line":
        return;
    }
  }

  /** An object that was not accepted, in one line. */
  rejection(it: RejectedView): string {
    const what = it.kind === "" ? "" : ` ${it.kind} ${it.namespace}/${it.name}:`;
    return `${this.#ink.bad("rejected:")} ${shortPath(this.#cli, it.file)}:${it.line}:${what} ${it.message}`;
  }

  #progress(event: Extract<SupervisorEvent, { type: "progress" }>): void {
    const { ready, total, waiting } = event;
    if (waiting.length === 0) return;
    const named = waiting.slice(0, NAMED).map(({ name, reason }) => (reason === "" ? name : `${name} (${reason})`));
    const more = waiting.length > NAMED ? `, and ${waiting.length - NAMED} more` : "";
    const line = `${ready}/${total} ready; waiting for ${named.join(", ")}${more}`;
    if (this.#cli.errIsTerminal) {
      this.#cli.err(`\r\u001b[2K${this.#ink.dim(line.slice(0, 150))}`);
      this.#redrawn = true;
    } else if (this.#ready) this.#say(line);
  }

  #announce(mesh: Pick<Supervisor, "ingressPort" | "world"> | undefined): void {
    this.#ready = true;
    const seconds = ((performance.now() - this.#options.startedAt) / 1000).toFixed(1);
    this.#say(`${this.#ink.good("ready")} in ${seconds} s`);
    if (mesh === undefined) return;
    for (const url of ingressUrls(mesh)) this.#cli.out(`${url}\n`);
    if (this.#cli.errIsTerminal)
      this.#say(this.#ink.dim("edits of the YAML files apply at once; Ctrl-C stops the mesh"));
  }

  #changed(event: Extract<SupervisorEvent, { type: "config" }>): void {
    const names = [...event.changed, ...event.removed.map((key) => `-${key}`)];
    const shown = names.length > 5 ? [...names.slice(0, 5), `and ${names.length - 5} more`] : names;
    this.#say(`${this.#ink.dim(`revision ${event.revision}:`)} ${shown.join(", ")}`);
  }

  #say(line: string): void {
    if (this.#redrawn) this.#cli.err("\r\u001b[2K");
    this.#redrawn = false;
    this.#cli.err(`${line}\n`);
  }
}
