import { APP_IMAGES, ImageBuilder } from "@lateen/images";
import { ensureService } from "@lateen/services";
import type { Image } from "./engine.ts";

/** Keeps the network of a pod. */
export const PAUSE = "lateen.test/pause:1";
/** An application that says who it is and what it was sent. */
export const APPLICATION = "lateen.test/application:1";
/** By the names that the profile gives them. */
const NATS = "nats:2.10-alpine";
const REDIS = "redis:7.4-alpine";

const PAUSE_SCRIPT = 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 2 ** 30);\n';
const APPLICATION_SCRIPT = `const server = require("node:http").createServer(({ url, headers }, answer) => {
  answer.end(JSON.stringify({ name: process.env.NAME, path: url, headers }));
});
server.listen(Number(process.env.PORT));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
`;

/** Images of every app, of what they need, and of an application. @throws Error when a program for one cannot be had. */
export function buildImages(
  folder: string,
  settings: { readonly hub: string; readonly tag: string },
): readonly Image[] {
  const builder = new ImageBuilder({ ...settings, folder, level: 1 });
  const apps = Object.keys(APP_IMAGES).filter((app) => app !== "control-plane" && app !== "egress-gateway");
  return [
    ...apps.map((app) => builder.build(app)),
    builder.script("pause", PAUSE, PAUSE_SCRIPT),
    builder.script("application", APPLICATION, APPLICATION_SCRIPT),
    builder.program("nats-server", NATS, programOf("nats-server")),
    builder.program("redis-server", REDIS, programOf("redis-server")),
  ];
}

function programOf(name: string): string {
  const found = ensureService(name);
  if (found.path === undefined) throw new Error(`${name}: ${found.reason}`);
  return found.path;
}
