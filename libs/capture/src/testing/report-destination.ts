import { createServer, type Socket } from "node:net";
import { loadOriginalDestination } from "../original-destination.ts";

/** Stands for a proxy: answers every connection to its ports with where it was sent to. Prints `ready` when it listens. */
const ask = await loadOriginalDestination();
const ports = process.argv.slice(2).map(Number);
let waiting = ports.length;
for (const port of ports) {
  const server = createServer((socket: Socket & { _handle?: { fd: number } }) => {
    const fd = socket._handle?.fd ?? -1;
    const family = socket.localFamily === "IPv6" && !socket.localAddress?.startsWith("::ffff:") ? 6 : 4;
    socket.on("error", () => {});
    socket.end(JSON.stringify({ at: port, sentTo: ask(fd, family) ?? null }));
  });
  server.listen(port, "::", () => {
    if (--waiting === 0) process.stdout.write("ready\n");
  });
}
