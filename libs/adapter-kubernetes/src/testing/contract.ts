import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApiServer, type TestApiServer } from "@lateen/test-support";
import type { KubernetesApi } from "../client/api.ts";
import type { ApiObject } from "../client/objects.ts";
import { openKubernetes } from "../client/open.ts";

/** Set by `npm run test:k8s`. The account must be allowed to do what a cluster's admin is. */
const REAL = process.env.LATEEN_TEST_KUBECONFIG;
const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };

/** Whose contract it is, for titles. */
export const CONTRACT_WITH = REAL === undefined ? "the API server of the tests" : "a real API server";

/** An API server to hold to its contract, and a namespace of our own there. */
export interface ContractCluster {
  readonly api: KubernetesApi;
  readonly namespace: string;
  /** Only of the one in the process. */
  readonly server: TestApiServer | undefined;
  close(): Promise<void>;
}

export async function contractCluster(): Promise<ContractCluster> {
  const namespace = `lateen-test-${randomBytes(4).toString("hex")}`;
  const ends: (() => Promise<unknown>)[] = [];
  let server: TestApiServer | undefined;
  let kubeconfig = REAL;
  if (kubeconfig === undefined) {
    server = await startApiServer();
    const dir = await mkdtemp(join(tmpdir(), "lateen-contract-"));
    kubeconfig = join(dir, "config");
    await writeFile(kubeconfig, server.kubeconfig());
    ends.push(
      () => rm(dir, { recursive: true }),
      () => server?.stop() ?? Promise.resolve(),
    );
  }
  const api = await openKubernetes({ kubeconfig });
  await api.create(NAMESPACES, {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: namespace },
  } as unknown as ApiObject);
  return {
    api,
    namespace,
    server,
    close: async () => {
      await api.remove(NAMESPACES, namespace).catch(() => undefined);
      api.close();
      for (const end of ends) await end();
    },
  };
}
