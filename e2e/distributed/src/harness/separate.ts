import { type Mesh, prepareMesh } from "@lateen/e2e-embedded";
import { natsServerPath, RedisServer, redisServerPath } from "@lateen/test-support";
import { limitsThatLetPass } from "./limits.ts";

export const COMPONENTS = ["pilot", "galley", "citadel", "mixer"] as const;
export const nats = natsServerPath();
const redisServer = redisServerPath();
/** What a mesh of separate components is made of, as far as it can be had here. */
export const KINDS = [
  ...COMPONENTS,
  ...(nats.path === undefined ? [] : (["nats"] as const)),
  ...(redisServer.path === undefined ? [] : (["redis"] as const)),
];
export type Kind = (typeof KINDS)[number];
/** What is asked for all the time. */
export const PATH = "/api/v1/products/0";
/** What the command lines of its NATS have in common. */
export const NATS = "nats/server.conf";

/** What the command line of a component or of NATS has, and no other's. */
export function placeOf(name: string): string {
  return name === "nats" ? NATS : `components/${name}/ports.json`;
}

/**
 * Starts a mesh with two of each component, NATS and Redis, the latter counting the requests of {@link PATH}.
 * @param env what components are told besides.
 */
export async function startSeparate(
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly mesh: Mesh; readonly redis: RedisServer | undefined }> {
  const redis = redisServer.path === undefined ? undefined : await RedisServer.start();
  const mesh = await prepareMesh(redis === undefined ? {} : { "limits.yaml": await limitsThatLetPass(PATH) });
  // Whoever starts a mesh hands them to its components so.
  Object.assign(mesh.env, env);
  if (nats.path !== undefined) mesh.env.LATEEN_NATS_SERVER = nats.path;
  if (redis !== undefined) mesh.env.LATEEN_REDIS_URL = `redis://127.0.0.1:${redis.port}`;
  const carrier = nats.path === undefined ? "off" : "local";
  try {
    await mesh.up("--control-plane", "separate", "--replicas", "2", "--nats", carrier, "--timeout", "110s");
  } catch (error) {
    await mesh.down();
    await redis?.stop();
    throw error;
  }
  return { mesh, redis };
}
