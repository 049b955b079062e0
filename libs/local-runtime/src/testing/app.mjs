// An application: listens on PORT; answers with its environment.
import { createServer } from "node:http";

createServer((request, response) => {
  if (request.url === "/crash") process.exit(9);
  response.end(JSON.stringify({ pid: process.pid, env: process.env }));
}).listen(Number(process.env.PORT), process.env.HOST);
