import { parentPort } from "node:worker_threads";
import { runWorker } from "@lateen/proxy";
import { httpFilterRuntimes, networkFilterRuntimes } from "@lateen/proxy-filters";

if (parentPort !== null) await runWorker(httpFilterRuntimes, networkFilterRuntimes, parentPort);
