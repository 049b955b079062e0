import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@lateen/kernel";
import { decodeText, keyOf, type Resource } from "@lateen/mesh-model";
import type { AcceptedObject, StateDelta } from "@lateen/ports";
import type { SupervisorEvent } from "../events.ts";
import type { SupervisorOptions } from "../options.ts";
import { createSupervisor, type Supervisor } from "../supervisor.ts";

const folder = import.meta.dirname;

/** A configuration source in place of galley's gRPC stream. */
export class FakeConfig {
  #receive: ((delta: StateDelta<AcceptedObject>) => void) | undefined;
  #objects: readonly Resource[] = [];
  #revision = 0;

  readonly watch: SupervisorOptions["watchConfig"] = (scope, _channel, receive) => {
    this.#receive = receive;
    scope.defer(() => {
      this.#receive = undefined;
    });
    this.#send();
  };

  /** Replaces everything. */
  set(text: string): void {
    this.#objects = decodeText({ file: "test.yaml", text }).map((document) => {
      if (document.ok) return document.object;
      throw new Error(document.diagnostics.map(({ message }) => message).join("; "));
    });
    this.#send();
  }

  #send(): void {
    this.#revision++;
    this.#receive?.({
      snapshot: true,
      revision: this.#revision,
      removed: [],
      upserted: this.#objects.map((object) => ({
        key: keyOf(object),
        revision: this.#revision,
        value: {
          object,
          origin: { file: "test.yaml", line: 1, column: 1 },
          ownerFile: "test.yaml",
          revision: this.#revision,
        },
      })),
    });
  }
}

/** A Deployment of one pod, with the command that stands for its image. */
export function workload(name: string, options: { readonly image?: string; readonly env?: string } = {}): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: ${name}
          image: ${options.image ?? "test/app:1"}
          ports: [{ name: http, containerPort: 9080 }]
          env: [{ name: GREETING, value: "${options.env ?? "hello"}" }]
---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80, targetPort: 9080 }], clusterIP: 10.96.0.9 }
---
apiVersion: lateen.dev/v1alpha1
kind: LocalRuntime
metadata: { name: ${name} }
spec:
  images:
    - match: "test/app:*"
      command: ["${process.execPath}", "${join(folder, "app.mjs")}"]
      env: { HOST: "\${HOST}", PORT: "\${PORT}" }
    - match: "test/needs-other:*"
      command: ["${process.execPath}", "${join(folder, "app.mjs")}"]
      env: { HOST: "\${HOST}", PORT: "\${PORT}", OTHER: "\${service:other:80}" }
    - match: "test/absent:*"
      command: ["/no/such/program"]
    - match: "test/crash:*"
      command: ["sh", "-c", "exit 9"]
`;
}

/** Temporary state directory; removed by the caller with {@link removeState}. */
export function temporaryState(): string {
  return mkdtempSync(join(tmpdir(), "lateen-mesh-"));
}

/** Removes it. */
export function removeState(root: string): void {
  rmSync(root, { recursive: true, force: true });
}

/** Starts a supervisor whose control plane and sidecars are stand-ins; everything else is real. */
export function startSupervisor(
  stateRoot: string,
  config: FakeConfig,
  observe: (event: SupervisorEvent) => void = () => {},
): Promise<Supervisor> {
  return createSupervisor({
    mesh: "test",
    version: "0.0.0",
    stateRoot,
    configPaths: [],
    ingressPort: 0,
    controlPlane: [process.execPath, join(folder, "fake-control-plane.mjs")],
    sidecar: [process.execPath, join(folder, "fake-sidecar.mjs")],
    agent: [process.execPath, join(folder, "fake-agent.mjs")],
    watchConfig: config.watch,
    env: process.env,
    clock: systemClock({ unref: false }),
    random: { next: Math.random },
    logger: silentLogger,
    observe,
    deregisterMs: 10,
    deregisterLimitMs: 600_000,
    stopGraceMs: 2_000,
  });
}
