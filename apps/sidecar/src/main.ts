import { runProxyApp } from "@lateen/proxy";
import { httpFilters, networkFilters } from "@lateen/proxy-filters";
import { flags } from "./config.ts";
import { runPodTool } from "./pod-tools.ts";

const code = await runPodTool(process.argv.slice(2));
if (code !== undefined) process.exitCode = code;
else {
  await runProxyApp(flags, {
    workerEntry: new URL("./worker.js", import.meta.url),
    httpFilters,
    networkFilters,
    loadClients: () => import("./clients.ts"),
  });
}
