import { request } from "node:http";
import type { Logger, Scope } from "@lateen/kernel";
import { createHttp, listenHttp } from "@lateen/runtime";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { unknownPod } from "../errors.ts";
import type { Pod } from "../pod/pod.ts";
import type { Supervisor } from "../supervisor.ts";
import { logRoute } from "./logs.ts";
import { runRoute } from "./run.ts";

const PROXY_ADMIN_PORT = 15000;
const FORWARD_TIMEOUT_MS = 330_000;

/**
 * Serves the mesh's admin socket: status, configuration and debug questions handed on to the control plane, proxy admin and agent by pod, logs,
 * processes that join (`POST /run`), and shutdown. Who may open the socket (0600 in a 0700 directory) may do everything.
 */
export async function serveAdmin(
  mesh: Supervisor,
  options: { readonly scope: Scope; readonly logger: Logger; readonly path: string },
): Promise<void> {
  const app = createHttp({ logger: options.logger });
  app.get("/status", () => mesh.status());
  forwardRoutes(app, mesh);
  app.get<{ Params: { pod: string; "*": string }; Querystring: Record<string, string> }>(
    "/pods/:pod/admin/*",
    async (call, reply) => {
      const pod = mesh.pods.find(call.params.pod);
      if (pod === undefined) throw unknownPod(call.params.pod, workloads(mesh));
      const { search } = new URL(call.raw.url ?? "/", "http://localhost");
      return passOn(pod, "GET", `/${call.params["*"]}${search}`, reply);
    },
  );
  // The one switch of a proxy that is passed on: it changes nothing but what the proxy remembers.
  app.post<{ Params: { pod: string }; Querystring: { readonly seconds?: string } }>(
    "/pods/:pod/admin/requests/keep",
    async (call, reply) => {
      const pod = mesh.pods.find(call.params.pod);
      if (pod === undefined) throw unknownPod(call.params.pod, workloads(mesh));
      const seconds = encodeURIComponent(call.query.seconds ?? "");
      return passOn(pod, "POST", `/requests/keep?seconds=${seconds}`, reply);
    },
  );
  app.post<{ Params: { pod: string } }>("/pods/:pod/agent", async (call) => {
    const pod = mesh.pods.find(call.params.pod);
    if (pod === undefined) throw unknownPod(call.params.pod, workloads(mesh));
    return pod.agent();
  });
  app.get("/pods", async () => ({ pods: mesh.pods.views() }));
  logRoute(app, mesh);
  runRoute(app, mesh);
  app.post("/shutdown", async (_call, reply) => {
    reply.raw.once("finish", () => void mesh.stop());
    return reply.code(202).send({ stopping: true });
  });
  await listenHttp(app, { path: options.path });
  options.scope.defer(async () => {
    // Held connections (logs, run) would keep the server open for ever.
    app.server.closeAllConnections();
    await app.close();
  });
}

function workloads(mesh: Supervisor): readonly string[] {
  return [...new Set(mesh.pods.views().map((pod) => pod.workload))].sort();
}

/** What the control plane answers itself: `/config/…` and `/debug/…`. */
function forwardRoutes(app: FastifyInstance, mesh: Supervisor): void {
  const forward = async (call: FastifyRequest, reply: FastifyReply) => {
    const answer = await mesh.controlPlane.request(call.method, call.url, call.body ?? undefined, FORWARD_TIMEOUT_MS);
    return reply
      .code(answer.status)
      .type(answer.contentType || "application/json")
      .send(answer.body);
  };
  app.route({ method: ["GET", "POST"], url: "/config/*", handler: forward });
  app.route({ method: ["GET", "POST"], url: "/debug/*", handler: forward });
}

function passOn(
  { admin, address }: Pod,
  method: "GET" | "POST",
  path: string,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return new Promise((resolve) => {
    const call = request({ ...admin, port: PROXY_ADMIN_PORT, method, path, agent: false });
    call.setTimeout(10_000, () => call.destroy(new Error("no answer within 10 s")));
    call.once("response", (response) => {
      const type = response.headers["content-type"] ?? "text/plain";
      resolve(
        reply
          .code(response.statusCode ?? 502)
          .type(type)
          .send(response),
      );
    });
    call.once("error", (error) => {
      resolve(reply.code(502).send({ error: { code: "proxy_unavailable", message: `${address}: ${error.message}` } }));
    });
    call.end();
  });
}
