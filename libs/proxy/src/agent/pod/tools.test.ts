import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "@lateen/kernel";
import { afterEach, expect, it } from "vitest";
import { runRequest, runWait } from "./tools.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A proxy that becomes ready when it is asked the third time. */
async function proxy() {
  let asked = 0;
  const server = createServer((request, response) => {
    const ready = request.url === "/stats" || ++asked >= 3;
    response.writeHead(ready ? 200 : 503).end(`${request.method} ${request.url}`);
  }).listen(0, "127.0.0.1");
  closing.push(() => server.close());
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, asked: () => asked };
}

function output() {
  const texts = { out: "", err: "" };
  return {
    texts,
    out: (text: string) => {
      texts.out += text;
    },
    err: (text: string) => {
      texts.err += text;
    },
  };
}

it("waits until the proxy is ready", async () => {
  const { port, asked } = await proxy();
  const url = `http://127.0.0.1:${port}/healthz/ready`;
  expect(await runWait([`--url=${url}`, "--periodMillis", "1"], systemClock(), output())).toBe(0);
  expect(asked()).toBe(3);
});

it("says why it does not wait any longer", async () => {
  const { port } = await proxy();
  const io = output();
  expect(await runWait(["--url", `http://127.0.0.1:${port}/`, "--timeoutSeconds=0"], systemClock(), io)).toBe(1);
  expect(io.texts.err).toContain("status 503");
  expect(await runWait(["--what"], systemClock(), output())).toBe(64);
});

it("asks the admin interface", async () => {
  const { port } = await proxy();
  const io = output();
  expect(await runRequest(["GET", "stats", `--debug-port=${port}`], io)).toBe(0);
  expect(io.texts).toEqual({ out: "GET /stats", err: "" });
  expect(await runRequest(["POST", "drain", `--debug-port=${port}`], io)).toBe(1);
  expect(await runRequest(["GET", "a", "b"], io)).toBe(64);
});
