import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { httpTelemetrySource } from "./http-telemetry-source.ts";

async function serving(): Promise<string> {
  const server = createServer((request, response) => {
    switch (request.url) {
      case "/ok":
        response.end('up{a="b"} 1\n');
        break;
      case "/large":
        response.end("x 1\n".repeat(1000));
        break;
      case "/redirect":
        response.writeHead(302, { location: "/ok" }).end();
        break;
      case "/silent":
        break;
      default:
        response.writeHead(500).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it("reads every target once and names those that failed, with the reason", async () => {
  const base = await serving();
  const target = (pod: string, url = `${base}/${pod}`) => ({ namespace: "shop", pod, url });
  const source = httpTelemetrySource({ timeoutMs: 200, concurrency: 2, maxBytes: 1000 });
  const { samples, failed } = await source.scrape([
    target("ok"),
    target("large"),
    target("redirect"),
    target("silent"),
    target("broken"),
    target("refused", "http://127.0.0.1:1/"),
  ]);
  expect(Object.fromEntries(samples)).toEqual({ "shop/ok": [{ name: "up", labels: { a: "b" }, value: 1 }] });
  const reasons = Object.fromEntries(failed.map((failure) => [failure.target.pod, failure.reason]));
  expect(reasons).toEqual({
    large: expect.stringContaining("more than 1000 bytes"),
    redirect: expect.stringContaining("redirect"),
    silent: expect.stringContaining("timeout"),
    broken: "answered 500",
    refused: expect.any(String),
  });
});

it("needs no target", async () => {
  expect(await httpTelemetrySource({ timeoutMs: 10 }).scrape([])).toEqual({ samples: new Map(), failed: [] });
});
