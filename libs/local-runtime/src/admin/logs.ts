import { open } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import { unknownPod } from "../errors.ts";
import type { Supervisor } from "../supervisor.ts";

/** How much of a file's end is looked at for its last lines. */
const TAIL_BYTES = 1024 * 1024;

interface LogQuery {
  /** Pod, workload, or a process of the control plane: `control-plane`, `pilot-1` … Default: the first of those. */
  readonly name?: string;
  /** `proxy` for the sidecar's lines. */
  readonly container?: string;
  readonly tail?: string;
  readonly follow?: string;
}

/** GET /logs: the last lines of one log as text; with `follow=true` the connection stays and new lines are sent as they come. */
export function logRoute(app: FastifyInstance, mesh: Supervisor): void {
  app.get<{ Querystring: LogQuery }>("/logs", async (call, reply) => {
    const { name = mesh.controlPlane.processes[0] ?? "", container, tail = "100", follow } = call.query;
    const file = logName(mesh, name, container);
    const lines = await lastLines(mesh.logs.pathOf(file), Number(tail) || 0);
    if (follow !== "true") return reply.type("text/plain").send(lines.map((line) => `${line}\n`).join(""));
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { "content-type": "text/plain" });
    raw.write(lines.map((line) => `${line}\n`).join(""));
    const end = mesh.logs.follow((source, line) => {
      // A reader that cannot keep up loses lines rather than growing our memory.
      if (source === file && raw.writableLength < TAIL_BYTES) raw.write(`${line}\n`);
    });
    raw.once("close", end);
  });
}

function logName(mesh: Supervisor, name: string, container: string | undefined): string {
  const { processes } = mesh.controlPlane;
  if (processes.includes(name)) return name;
  const pod = mesh.pods.find(name);
  if (pod === undefined)
    throw unknownPod(name, [...new Set(mesh.pods.views().map((view) => view.workload)), ...processes]);
  const proxy = container === "proxy" || container === "istio-proxy" || pod.blueprint.kind === "gateway";
  return proxy ? `${pod.blueprint.name}.istio-proxy` : pod.blueprint.name;
}

async function lastLines(path: string, count: number): Promise<readonly string[]> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const length = Math.min(size, TAIL_BYTES);
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
      const lines = buffer.toString("utf8").split("\n");
      if (lines.at(-1) === "") lines.pop();
      return count === 0 ? [] : lines.slice(-count);
    } finally {
      await file.close();
    }
  } catch {
    return [];
  }
}
