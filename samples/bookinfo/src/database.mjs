// The sample's database: a JSON-lines server that stands where a MySQL or MongoDB container would, so that ratings v2 makes a real
// TCP connection through the mesh. One line `{"get":"0"}` is answered by one line `{"ratings":{…}}`.
import net from "node:net";

const port = Number(process.env.PORT ?? 3306);
const host = process.env.HOST ?? "127.0.0.1";
const ratings = { Reviewer1: 3, Reviewer2: 2 };

const server = net.createServer((socket) => {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    text += chunk;
    if (text.length > 65_536) return socket.destroy();
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      try {
        const question = JSON.parse(line);
        socket.write(
          `${JSON.stringify(typeof question.get === "string" ? { ratings } : { error: "unknown question" })}\n`,
        );
      } catch {
        socket.write('{"error":"not JSON"}\n');
      }
    }
  });
});
server.listen(port, host, () => console.log(`database listens on ${host}:${server.address().port}`));
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 1_000).unref();
});
