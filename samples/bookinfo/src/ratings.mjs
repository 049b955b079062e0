// ratings: stars per reviewer. v1 keeps them in memory; v2 (SERVICE_VERSION=v2) reads them from a database over plain TCP.
import net from "node:net";
import { healthRoute, sendJson, startService } from "./service.mjs";

const version = process.env.SERVICE_VERSION ?? "v1";
const memory = new Map();
const defaults = { Reviewer1: 5, Reviewer2: 4 };

/** Where the database is. Under proxy-env capture the mesh hands TCP services out as <NAME>_SERVICE_HOST/_PORT, so these come first. */
function database() {
  const mongo =
    process.env.DB_TYPE !== "mysql" &&
    (process.env.MONGO_DB_URL !== undefined || process.env.MONGODB_SERVICE_HOST !== undefined);
  if (mongo) {
    const url = new URL(process.env.MONGO_DB_URL ?? "mongodb://mongodb:27017/test");
    return {
      host: process.env.MONGODB_SERVICE_HOST ?? url.hostname,
      port: Number(process.env.MONGODB_SERVICE_PORT ?? (url.port || 27017)),
    };
  }
  return {
    host: process.env.MYSQLDB_SERVICE_HOST ?? process.env.MYSQL_DB_HOST ?? "mysqldb",
    port: Number(process.env.MYSQLDB_SERVICE_PORT ?? process.env.MYSQL_DB_PORT ?? 3306),
  };
}

/** Asks the sample database (src/database.mjs) one question: a JSON line out, a JSON line back. */
function query(question) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...database(), timeout: 3_000 });
    let text = "";
    socket.setEncoding("utf8");
    socket.on("connect", () => socket.write(`${JSON.stringify(question)}\n`));
    socket.on("timeout", () => socket.destroy(new Error("the database did not answer within 3 s")));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the database closed the connection")));
    socket.on("data", (chunk) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end < 0) return;
      resolve(JSON.parse(text.slice(0, end)));
      socket.end();
    });
  });
}

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > 65_536) throw new Error("the body is larger than 64 KiB");
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

startService(`ratings-${version}`, [
  healthRoute,
  [
    "GET",
    /^\/ratings\/(\d+)$/,
    async (_request, response, [, id]) => {
      if (version === "v1") return sendJson(response, 200, { id: Number(id), ratings: memory.get(id) ?? defaults });
      try {
        const { ratings } = await query({ get: id });
        sendJson(response, 200, { id: Number(id), ratings });
      } catch (error) {
        sendJson(response, 500, { error: `could not read the ratings database: ${error.message}` });
      }
    },
  ],
  [
    "POST",
    /^\/ratings\/(\d+)$/,
    async (request, response, [, id]) => {
      let ratings;
      try {
        ratings = await readBody(request);
      } catch {
        return sendJson(response, 400, { error: "please provide valid ratings JSON" });
      }
      if (version !== "v1") return sendJson(response, 501, { error: "ratings v2 is read-only" });
      memory.set(id, ratings);
      sendJson(response, 200, { id: Number(id), ratings });
    },
  ],
]);
