import { runProxyApp } from "@lateen/proxy";
import { httpFilters, networkFilters } from "@lateen/proxy-filters";
import { flags } from "./config.ts";

await runProxyApp(flags, {
  workerEntry: new URL("./worker.js", import.meta.url),
  httpFilters,
  networkFilters,
  loadClients: () => import("./clients.ts"),
});
