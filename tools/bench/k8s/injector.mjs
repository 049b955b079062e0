/** The sidecar injector's webhook over TLS, with the default configuration. Driven over IPC. */
import { createInjector, injectorRoutes } from "@lateen/injector";
import { Scope, silentLogger } from "@lateen/kernel";
import { serveWebhooks } from "@lateen/runtime";

const { tls } = await new Promise((resolve) => process.once("message", ({ start }) => resolve(start)));
const scope = new Scope();
const injector = createInjector({ kubernetesMinor: 34 }, silentLogger);
const face = await serveWebhooks({
  ...{ host: "127.0.0.1", port: 0, tls, scope, logger: silentLogger },
  routes: async (app) => void (await app.register(injectorRoutes(injector))),
});
process.on("disconnect", () => process.exit());
process.send?.({ ready: { port: face.port } });
