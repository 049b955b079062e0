// Stands in for a sidecar: healthy at its pod's address.
import { createServer } from "node:http";

const address = process.argv[process.argv.indexOf("--admin-address") + 1];
createServer((_request, response) => response.end("ok")).listen(15021, address);
process.on("SIGTERM", () => process.exit(0));
