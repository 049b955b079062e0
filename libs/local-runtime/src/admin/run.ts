import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { badRunRequest } from "../errors.ts";
import { freePort } from "../net/loopback.ts";
import type { Pod } from "../pod/pod.ts";
import type { Supervisor } from "../supervisor.ts";

/** What `lateen run` asks for. */
export interface RunRequest {
  readonly service: string;
  /** Where the process listens, on 127.0.0.1. */
  readonly port: number;
  readonly namespace?: string;
  readonly version?: string;
  readonly serviceAccount?: string;
}

/** Lines of the answer to POST /run, one JSON object each. The process is part of the mesh while the connection is open. */
export type RunEvent =
  | {
      readonly type: "joined";
      readonly namespace: string;
      readonly pod: string;
      readonly address: string;
      readonly env: Readonly<Record<string, string>>;
      /** Goes before the command, so that it runs in the pod's network. */
      readonly prefix?: readonly string[];
    }
  | { readonly type: "ready" };

const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** POST /run and POST /run/:pod/leave. */
export function runRoute(app: FastifyInstance, mesh: Supervisor): void {
  app.post<{ Body: RunRequest }>("/run", async (call, reply) => {
    const session = await joinMesh(mesh, call.body);
    const { pod } = session;
    reply.hijack();
    const { raw } = reply;
    let gone = false;
    raw.once("close", () => {
      gone = true;
      void session.leave();
    });
    raw.writeHead(200, { "content-type": "application/x-ndjson" });
    raw.flushHeaders();
    await pod.proxyReady();
    if (gone) return;
    raw.write(`${JSON.stringify(joinedEvent(pod))}\n`);
  });
  app.post<{ Params: { pod: string } }>("/run/:pod/leave", async (call) => {
    const pod = mesh.pods.find(call.params.pod);
    if (pod !== undefined && pod.blueprint.kind === "joined") await mesh.pods.remove(pod);
    return { left: true };
  });
}

function joinedEvent(pod: Pod): RunEvent {
  const { namespace, name } = pod.blueprint;
  return {
    type: "joined",
    namespace,
    pod: name,
    address: pod.address,
    env: pod.joinEnvironment(),
    prefix: pod.joinPrefix,
  };
}

async function joinMesh(mesh: Supervisor, body: RunRequest): Promise<{ readonly pod: Pod; leave(): Promise<void> }> {
  const { service, port, namespace = "default", version, serviceAccount = "default" } = checked(body);
  const existing = mesh.world.service(namespace, service);
  const workload = version === undefined ? service : `${service}-${version}`;
  const target = existing?.spec.ports?.[0]?.targetPort ?? existing?.spec.ports?.[0]?.port;
  // Without a Service the mesh port is a free one, so that the process may bind its own port on every address.
  const free = (): number | Promise<number> => (mesh.captures ? port : freePort(["127.0.0.1"]));
  const containerPort = typeof target === "number" ? target : await free();
  const labels = {
    app: service,
    ...(version === undefined ? {} : { version }),
    ...existing?.spec.selector,
  };
  const created = existing === undefined;
  if (created) await applyService(mesh, { service, namespace, port, containerPort, labels: { app: service } });
  const suffix = randomBytes(3).toString("hex");
  const pod = mesh.pods.join(
    {
      namespace,
      name: `${workload}-run-${suffix}`,
      workload,
      serviceAccount,
      labels,
      annotations: {},
      templateHash: "run",
      kind: "joined",
      extraPorts: [],
      spec: {
        containers: [
          { name: service, ports: [{ containerPort, ...(typeof target === "string" ? { name: target } : {}) }] },
        ],
      },
    },
    { containerPort, appPort: port },
  );
  const leave = async () => {
    await mesh.pods.remove(pod);
    const others = mesh.pods.pods().some((other) => other.blueprint.labels.app === service && other !== pod);
    if (created && !others) await deleteService(mesh, namespace, service);
  };
  return { pod, leave };
}

function checked(body: RunRequest | undefined): RunRequest {
  if (body === undefined || typeof body.service !== "string" || !NAME.test(body.service)) {
    throw badRunRequest("--service must be a Kubernetes name such as `ratings`");
  }
  if (!Number.isInteger(body.port) || body.port < 1 || body.port > 65535) {
    throw badRunRequest("--port must be the port the process listens on, 1 to 65535");
  }
  for (const [what, value] of [
    ["--namespace", body.namespace],
    ["--service-account", body.serviceAccount],
  ] as const) {
    if (value !== undefined && !NAME.test(value)) throw badRunRequest(`${what} must be a Kubernetes name`);
  }
  return body;
}

async function applyService(
  mesh: Supervisor,
  wanted: {
    readonly service: string;
    readonly namespace: string;
    readonly port: number;
    readonly containerPort: number;
    readonly labels: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const object = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: wanted.service, namespace: wanted.namespace },
    spec: { selector: wanted.labels, ports: [{ name: "http", port: wanted.port, targetPort: wanted.containerPort }] },
  };
  const answer = await mesh.controlPlane.request("POST", "/config/apply", {
    documents: [{ file: "<run>", text: JSON.stringify(object) }],
  });
  if (answer.status >= 300) throw badRunRequest(`the Service could not be made: ${answer.body.slice(0, 300)}`);
}

async function deleteService(mesh: Supervisor, namespace: string, name: string): Promise<void> {
  try {
    await mesh.controlPlane.request("POST", "/config/delete", { objects: [{ kind: "Service", namespace, name }] });
  } catch {
    // The control plane is down; the Service stays, without endpoints.
  }
}
