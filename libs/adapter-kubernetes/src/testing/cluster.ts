import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Scope, seededRandom } from "@lateen/kernel";
import {
  type ApiServerOptions,
  type RecordingLogger,
  recordingLogger,
  startApiServer,
  type TestApiServer,
} from "@lateen/test-support";
import type { KubernetesApi } from "../client/api.ts";
import { openKubernetes } from "../client/open.ts";
import type { WatchTuning } from "../watch/pauses.ts";

/** An API server of a test's own, and a way to it. */
export interface TestCluster {
  readonly server: TestApiServer;
  readonly api: KubernetesApi;
  readonly scope: Scope;
  readonly logger: RecordingLogger;
  /** Options of adapters, with waits that suit tests. */
  readonly options: {
    readonly logger: RecordingLogger;
    readonly random: { next(): number };
    readonly tuning: Partial<WatchTuning>;
  };
  /** Writes a file that is gone when the test is. */
  file(name: string, text: string): string;
}

const TUNING = { backoffMs: 5, maxBackoffMs: 40, absentMs: 10, pageSize: 2 };

/** @param atEnd the runner's `onTestFinished`. */
export async function testCluster(
  atEnd: (cleanUp: () => Promise<void>) => void,
  options: ApiServerOptions & { readonly timeoutMs?: number } = {},
): Promise<TestCluster> {
  const server = await startApiServer(options);
  const dir = await mkdtemp(join(tmpdir(), "lateen-k8s-"));
  const file = (name: string, text: string) => {
    const path = join(dir, name);
    writeFileSync(path, text);
    return path;
  };
  const { timeoutMs } = options;
  const api = await openKubernetes({
    kubeconfig: file("config", server.kubeconfig()),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  const scope = new Scope();
  const logger = recordingLogger();
  atEnd(async () => {
    await scope.close();
    api.close();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  });
  return { server, api, scope, logger, options: { logger, random: seededRandom(7), tuning: TUNING }, file };
}
