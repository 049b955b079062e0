// Stands in for the agent: says who it is for, and leaves its bootstraps.
import { writeFileSync } from "node:fs";

const flag = (name) => process.argv[process.argv.indexOf(`--${name}`) + 1];
const node = { id: `${flag("role")}~${process.env.INSTANCE_IP}~${process.env.POD_NAME}` };
writeFileSync(`${flag("run-dir")}/envoy.json`, JSON.stringify({ node }));
writeFileSync(`${flag("run-dir")}/grpc.json`, JSON.stringify({ node, socket: flag("socket") }));
process.on("SIGTERM", () => process.exit(0));
setInterval(() => {}, 60_000);
