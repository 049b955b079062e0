import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { parseAppMetrics, scrapeApp } from "./app-metrics.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function app(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

describe("parseAppMetrics", () => {
  it.each([
    ["", undefined],
    ["{", undefined],
    ["null", { port: 80, path: "/metrics" }],
    ['{"scrape":"true","port":"9100","path":"/m"}', { port: 9100, path: "/m" }],
    ['{"scrape":"true","path":"m"}', { port: 80, path: "/m" }],
    ['{"scrape":"false","port":"9100"}', undefined],
    ['{"port":"many"}', undefined],
  ])("%s", (source, expected) => {
    expect(parseAppMetrics(source)).toEqual(expected);
  });
});

describe("scrapeApp", () => {
  it("gives whole lines without OpenMetrics' end", async () => {
    const port = await app((request, response) => response.end(`# HELP a b\na ${request.url}\n# EOF\n`));
    expect(await scrapeApp({ port, path: "/m" })).toEqual({ text: "# HELP a b\na /m\n", failure: undefined });
  });

  it.each<[string, RequestListener, string]>([
    ["an error", (_, response) => response.writeHead(500).end(), "answered 500"],
    [
      "a redirect, which is not followed",
      (_, response) => response.writeHead(302, { location: "/" }).end(),
      "answered 302",
    ],
    ["a connection that breaks", (request) => request.socket.destroy(), "hang up"],
    [
      "half an answer",
      (_, response) => response.writeHead(200, { "content-length": "9" }).write("a", () => response.destroy()),
      "",
    ],
  ])("says what failed: %s", async (_title, listener, reason) => {
    const { text, failure } = await scrapeApp({ port: await app(listener), path: "/" });
    expect(text).toBe("");
    expect(failure).toContain(reason);
  });

  it("does not wait for ever", async () => {
    const { failure } = await scrapeApp({ port: await app(() => {}), path: "/" }, "127.0.0.1", 50);
    expect(failure).toBe("no answer within 50 ms");
  });
});
