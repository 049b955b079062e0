import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { httpDocuments } from "./http-documents.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  stops.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const documents = httpDocuments({ maxBytes: 1000 });
const never = new AbortController().signal;

it("reads a document, also where it moved to", async () => {
  const base = await serve((request, response) => {
    if (request.url === "/old") response.writeHead(302, { location: "/new" }).end();
    else response.end("keys");
  });
  await expect(documents(`${base}/old`, 60_000, never)).resolves.toBe("keys");
});

it.each<[string, RequestListener, string]>([
  ["is not there", (_, response) => response.writeHead(404).end("no"), "answered 404"],
  ["is too long", (_, response) => response.end("x".repeat(2000)), "answered more than 1000 bytes"],
])("fails when it %s", async (_title, answer, expected) => {
  await expect(documents(await serve(answer), 60_000, never)).rejects.toThrow(expected);
});

it("fails when it takes too long", async () => {
  const base = await serve(() => undefined);
  await expect(documents(base, 10, never)).rejects.toThrow();
});
