import { parentPort } from "node:worker_threads";
import { runWorker } from "../main.ts";

if (parentPort !== null) await runWorker([], [], parentPort);
