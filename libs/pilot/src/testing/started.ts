import { Scope } from "@lateen/kernel";
import { defaultMeshConfig, type Resource } from "@lateen/mesh-model";
import { manualClock, recordingLogger } from "@lateen/test-support";
import type { PilotOptions } from "../options.ts";
import { PilotServer } from "../pilot-server.ts";
import { settle } from "./auto-proxy.ts";
import { FakeCompiler } from "./fake-compiler.ts";
import { ConfigFeed, RegistryFeed } from "./feeds.ts";
import { service } from "./objects.ts";

const scopes: Scope[] = [];
/** Closes what the test opened; for `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const scope of scopes.splice(0)) await scope.close();
}

/** Not started: nothing is known yet. */
export function prepare(overrides: Partial<PilotOptions> = {}) {
  const scope = new Scope();
  scopes.push(scope);
  const clock = manualClock();
  const logger = recordingLogger();
  const compiler = new FakeCompiler();
  const config = new ConfigFeed();
  const registry = new RegistryFeed();
  const pilot = new PilotServer(
    {
      bus: config.bus,
      registry,
      scope,
      clock,
      logger,
      meshConfig: defaultMeshConfig(),
      clusterId: "local",
      debounce: { quietMs: 10, maxMs: 100, intervalMs: 0 },
      ...overrides,
    },
    compiler,
  );
  return { scope, clock, logger, compiler, config, registry, pilot };
}

export const at = (name: string, version: string): Resource => ({
  ...service(name, "shop", "10.96.0.1"),
  metadata: { name, namespace: "shop", labels: { version } },
});

/** Started, with services `a` and `b` at version 1. */
export async function started(overrides: Partial<PilotOptions> = {}) {
  const parts = prepare(overrides);
  parts.config.snapshot(1, at("a", "1"), at("b", "1"));
  parts.registry.set();
  await parts.pilot.start();
  const advance = async (ms: number) => {
    parts.clock.advance(ms);
    await settle();
  };
  return { ...parts, advance };
}
