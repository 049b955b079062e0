import { parentPort } from "node:worker_threads";
import { runWorker } from "@lateen/proxy";
import { httpFilterRuntimes, networkFilterRuntimes } from "../index.ts";

/** A data path as the proxy apps start it. */
if (parentPort !== null) await runWorker(httpFilterRuntimes, networkFilterRuntimes, parentPort);
