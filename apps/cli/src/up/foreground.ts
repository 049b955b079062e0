import { createWriteStream } from "node:fs";
import { join } from "node:path";
import type { Supervisor, SupervisorEvent } from "@lateen/local-runtime";
import { appProgram } from "../apps.ts";
import { type Cli, stateOf } from "../cli.ts";
import type { UpOptions } from "../commands/up.ts";
import { Exit } from "../exit.ts";
import { VERSION } from "../version.ts";
import { Narrator } from "./narrator.ts";
import { natsOf } from "./nats.ts";

/** What the waiting parent of a detached mesh is told. */
export type DetachMessage =
  | { readonly type: "event"; readonly event: SupervisorEvent }
  | { readonly type: "up"; readonly ingressPort: number };

/** Runs the supervisor in this process until SIGINT, SIGTERM or `lateen down`. */
export async function runForeground(
  cli: Cli,
  { options, paths }: { readonly options: UpOptions; readonly paths: readonly string[] },
): Promise<void> {
  const startedAt = performance.now();
  // Everything is loaded at once, before anything is started: the children then have the processors for themselves.
  const [{ controlPlaneEconomy, createSupervisor }, { systemClock }, { createLogger }] = await Promise.all([
    import("@lateen/local-runtime"),
    import("@lateen/kernel"),
    import("@lateen/runtime"),
  ]);
  const state = stateOf(cli, options.mesh);
  const log = supervisorLog(state.logs);
  const logger = createLogger({ name: "supervisor", level: "info", format: "json", write: log.write });
  const narrator = new Narrator(cli, { showLines: options.logs, startedAt });
  let mesh: Supervisor | undefined;
  const stopping = stopOnSignal(cli, () => mesh);
  const component = (name: string) => [process.execPath, ...controlPlaneEconomy.nodeFlags, appProgram(name)];
  mesh = await createSupervisor({
    mesh: options.mesh,
    version: VERSION,
    stateRoot: state.root,
    configPaths: paths,
    ingressPort: options.ingressPort,
    capture: options.capture,
    controlPlane: component("control-plane"),
    ...(options.controlPlane === "separate"
      ? {
          components: {
            citadel: component("citadel"),
            galley: component("galley"),
            pilot: component("pilot"),
            mixer: component("mixer"),
          },
          replicas: options.replicas,
          ...natsOf(cli, options),
        }
      : {}),
    sidecar: [process.execPath, appProgram("sidecar")],
    agent: [process.execPath, appProgram("agent")],
    watchConfig: (...args) => void import("@lateen/adapter-grpc").then(({ watchConfig }) => watchConfig(...args)),
    env: cli.env,
    clock: systemClock({ unref: false }),
    random: { next: Math.random },
    logger,
    observe: (event) => {
      tellParent({ type: "event", event });
      narrator.tell(event, mesh);
    },
  });
  tellParent({ type: "up", ingressPort: mesh.ingressPort });
  narrator.started(mesh);
  if (stopping.wanted) void mesh.stop();
  await mesh.stopped;
  narrator.stopped();
  await log.close();
  throw new Exit(0);
}

/** One Ctrl-C may arrive more than once: from the terminal, and from npm, which passes it on. */
const SAME_SIGNAL_MS = 1_000;

/** The first SIGINT, SIGTERM or SIGHUP ends the mesh in order, another one later ends this process; the children then end by themselves. */
function stopOnSignal(cli: Cli, mesh: () => Supervisor | undefined): { readonly wanted: boolean } {
  const stopping = { wanted: false };
  let firstAt = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (stopping.wanted) {
        if (performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(1);
        return;
      }
      stopping.wanted = true;
      firstAt = performance.now();
      cli.err("stopping …\n");
      void mesh()?.stop();
    });
  }
  return stopping;
}

function tellParent(message: DetachMessage): void {
  if (process.send === undefined || !process.connected) return;
  // A parent that is gone does not want to know any more.
  process.send(message, () => {});
  if (message.type === "event" && message.event.type === "ready") process.disconnect();
}

/** logs/supervisor.log; what comes before its directory exists waits in memory. */
function supervisorLog(directory: string) {
  let stream: ReturnType<typeof createWriteStream> | undefined;
  return {
    write: (line: string) => {
      stream ??= createWriteStream(join(directory, "supervisor.log"), { flags: "a", mode: 0o600 }).on(
        "error",
        () => {},
      );
      stream.write(line);
    },
    close: () => new Promise<void>((done) => (stream === undefined ? done() : stream.end(() => done()))),
  };
}
