import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { program } from "./harness/programs.ts";
import { type Standalone, startStandalone } from "./harness/standalone.ts";

const h2spec = program("h2spec");
let proxy: Standalone | undefined;
let backend: Server | undefined;

describe.skipIf(h2spec.path === undefined)("h2spec", () => {
  beforeAll(async () => {
    const server = createServer((request, response) => {
      request.resume();
      request.on("end", () => response.end("an answer of some length"));
    });
    backend = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    proxy = await startStandalone({ codec: "HTTP2", upstreamPort: (server.address() as AddressInfo).port });
  });

  afterAll(async () => {
    await proxy?.stop();
    backend?.close();
  });

  it("finds no failure", { timeout: 120_000 }, async () => {
    const { path } = h2spec;
    if (path === undefined) throw new Error("skipped without h2spec");
    const output = await new Promise<string>((resolve) => {
      const argv = ["-h", "127.0.0.1", "-p", String(proxy?.port), "-o", "5"];
      execFile(path, argv, { maxBuffer: 10_000_000 }, (_, text) => resolve(text));
    });
    expect(output.slice(Math.max(0, output.indexOf("Failures:")))).toMatch(
      /[0-9]+ tests, [0-9]+ passed, 0 skipped, 0 failed/,
    );
  });
});
