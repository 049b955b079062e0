import { replaceFile } from "../files.ts";
import type { PodView } from "./types.ts";

/** A pod as Kubernetes would show it: what the control plane reads of a running pod. */
export function podObject(pod: PodView): Record<string, unknown> {
  const created = new Date(pod.createdAt).toISOString();
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: pod.name,
      namespace: pod.namespace,
      // Gateways take mesh mTLS only where a server says so; a client must not assume it.
      labels: {
        ...pod.labels,
        ...(pod.controller === undefined ? { "pod-template-hash": pod.templateHash } : {}),
        ...(pod.kind === "gateway" ? {} : { "security.istio.io/tlsMode": "istio" }),
      },
      ...(Object.keys(pod.annotations).length > 0 ? { annotations: pod.annotations } : {}),
      creationTimestamp: created,
      ...(pod.phase === "Terminating" ? { deletionTimestamp: created } : {}),
      ownerReferences: [{ apiVersion: "apps/v1", ...controllerOf(pod), controller: true }],
    },
    spec: {
      serviceAccountName: pod.serviceAccount,
      nodeName: "localhost",
      ...(pod.hostname === undefined ? {} : { hostname: pod.hostname }),
      ...(pod.subdomain === undefined ? {} : { subdomain: pod.subdomain }),
      containers: containersOf(pod),
    },
    status: {
      phase: pod.phase === "Pending" ? "Pending" : "Running",
      podIP: pod.address,
      podIPs: [{ ip: pod.address }],
      hostIP: "127.0.0.1",
      // No message here: it changes with every check, and each change of the file is a push to every proxy.
      conditions: [{ type: "Ready", status: pod.ready ? "True" : "False" }],
    },
  };
}

function controllerOf({ controller, workload, templateHash }: PodView) {
  return controller === undefined
    ? { kind: "ReplicaSet", name: `${workload}-${templateHash}` }
    : { kind: controller, name: workload };
}

function containersOf(pod: PodView): readonly Record<string, unknown>[] {
  const images = pod.images.length > 0 ? pod.images : [{ container: "istio-proxy", image: "" }];
  return images.map(({ container, image }) => ({
    name: container,
    ...(image === "" ? {} : { image }),
    ports: pod.containerPorts
      .filter((port) => port.container === container)
      .map(({ name, port }) => ({ ...(name === "" ? {} : { name }), containerPort: port, protocol: "TCP" })),
  }));
}

/**
 * Writes registry/pods.json: one write at a time, the last state always gets written, unchanged text never. States are numbered, so that
 * others can say which they have seen.
 */
export class PodRegistryFile {
  readonly #path: string;
  #wanted: string | undefined;
  #written: string | undefined;
  #version: number;
  #writing: Promise<void> | undefined;

  /** @param firstVersion above all that an earlier writer of the file may have used, such as the time. */
  constructor(path: string, firstVersion: number) {
    this.#path = path;
    this.#version = firstVersion;
  }

  /** `metadata.resourceVersion` of the last state; what waits to be written counts. */
  get version(): string {
    return String(this.#wanted === undefined || this.#wanted === this.#written ? this.#version : this.#version + 1);
  }

  /** Resolves when this state, or a later one, is in the file. */
  write(pods: readonly PodView[]): Promise<void> {
    this.#wanted = JSON.stringify(pods.map(podObject), null, 1);
    this.#writing ??= this.#run();
    return this.#writing;
  }

  async #run(): Promise<void> {
    // Not before the caller has noted this run: a run without anything to write would end within the call.
    await Promise.resolve();
    try {
      while (this.#wanted !== undefined) {
        const items = this.#wanted;
        this.#wanted = undefined;
        if (items === this.#written) continue;
        this.#version++;
        const metadata = JSON.stringify({ resourceVersion: String(this.#version) });
        await replaceFile(
          this.#path,
          `{"apiVersion": "v1", "kind": "List", "metadata": ${metadata}, "items": ${items}}\n`,
        );
        this.#written = items;
      }
    } finally {
      this.#writing = undefined;
    }
  }
}
