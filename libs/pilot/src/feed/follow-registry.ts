import { type Clock, type Logger, type Scope, sleep } from "@lateen/kernel";
import type { RegistryDelta, ServiceRegistry } from "@lateen/ports";
import { registryFailed } from "../errors.ts";

const RETRY_MS = [250, 500, 1000, 2000, 5000, 15_000];

/**
 * Watches the registry until the scope closes; tries again with growing pauses while that fails. What was delivered before stays in
 * force meanwhile. Each attempt has its own scope, so that one that failed half-way delivers nothing any more.
 */
export async function followRegistry(
  registry: ServiceRegistry,
  deps: { readonly scope: Scope; readonly clock: Clock; readonly logger: Logger },
  receive: (delta: RegistryDelta) => void,
): Promise<void> {
  for (let failures = 0; !deps.scope.closed; failures++) {
    const attempt = deps.scope.child();
    try {
      await registry.watch(attempt, (delta) => {
        if (!attempt.closed) receive(delta);
      });
      return;
    } catch (error) {
      await attempt.close().catch(() => undefined);
      if (deps.scope.closed) return;
      deps.logger.error({ event: "registry.failed", error: registryFailed(error).describe(), attempt: failures + 1 });
    }
    const pause = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0;
    await sleep(deps.clock, pause, deps.scope.signal).catch(() => undefined);
  }
}
