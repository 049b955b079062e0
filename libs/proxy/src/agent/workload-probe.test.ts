import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { Scope, silentLogger } from "@lateen/kernel";
import { manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { type ProbeTarget, probeOf } from "./probe-spec.ts";
import { probeOnce } from "./probe-ways.ts";
import { startWorkloadProbe } from "./workload-probe.ts";

const scopes: Scope[] = [];
afterEach(async () => {
  for (const scope of scopes.splice(0)) await scope.close();
});

async function listen(server: Server): Promise<number> {
  const scope = new Scope();
  scopes.push(scope);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  scope.defer(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe("the probe of a ProxyConfig", () => {
  it.each<[string, object, string]>([
    ["two ways", { tcpSocket: { port: 1 }, exec: { command: ["x"] } }, "exactly one"],
    ["no way", { periodSeconds: 3 }, "exactly one"],
    ["no port", { httpGet: { path: "/" } }, "number of a port"],
    ["no command", { exec: { command: [] } }, "a command"],
  ])("with %s is refused", (_title, readinessProbe, reason) => {
    const probe = probeOf({ readinessProbe });
    expect(probe.ok ? "" : probe.error).toContain(reason);
  });

  it("has Kubernetes' defaults", () => {
    expect(probeOf({ readinessProbe: { tcpSocket: { port: 8080 } } })).toEqual({
      ok: true,
      value: {
        target: { kind: "tcp", host: undefined, port: 8080 },
        initialDelayMs: 0,
        timeoutMs: 1000,
        periodMs: 10_000,
        successThreshold: 1,
        failureThreshold: 3,
      },
    });
    expect(probeOf({})).toEqual({ ok: true, value: undefined });
  });
});

describe("ways of asking", () => {
  const ask = (target: ProbeTarget, port = 1) =>
    probeOnce(target, () => ({ host: "127.0.0.1", port }), new AbortController().signal);

  it("HTTP: any status below 400", async () => {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(`${request.url} ${request.headers.host} ${request.headers["x-probe"]}`);
      response.statusCode = request.url === "/bad" ? 503 : 302;
      response.end();
    });
    const port = await listen(server);
    const target = { kind: "http", host: undefined, port: 80, https: false } as const;
    const headers = [
      ["x-probe", "1"],
      ["host", "shop"],
    ] as const;
    await ask({ ...target, path: "/ok", headers }, port);
    await expect(ask({ ...target, path: "/bad", headers }, port)).rejects.toThrow("503");
    expect(seen[0]).toBe("/ok shop 1");
  });

  it("TCP: whether anybody listens", async () => {
    const server = createServer();
    const port = await listen(server);
    await ask({ kind: "tcp", host: undefined, port: 80 }, port);
    await new Promise((resolve) => server.close(resolve));
    await expect(ask({ kind: "tcp", host: "127.0.0.1", port })).rejects.toThrow("ECONNREFUSED");
  });

  it("exec: the exit status, and what was said", async () => {
    await ask({ kind: "exec", command: ["true"] });
    const failing = ["sh", "-c", "echo no database >&2; exit 1"];
    await expect(ask({ kind: "exec", command: failing })).rejects.toThrow("no database");
  });

  it("gRPC: the health service says SERVING", async () => {
    const server = createHttp2Server();
    server.on("stream", (stream) => {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        const well = Buffer.concat(parts).subarray(7).toString() === "shop";
        stream.respond({ ":status": 200, "content-type": "application/grpc" });
        stream.end(Buffer.from([0, 0, 0, 0, 2, 8, well ? 1 : 2]));
      });
    });
    const port = await listen(server);
    await ask({ kind: "grpc", port: 80, service: "shop" }, port);
    await expect(ask({ kind: "grpc", port: 80, service: "cart" }, port)).rejects.toThrow("SERVING");
  });

  it("ends when it takes too long", async () => {
    const port = await listen(createServer(() => undefined));
    const abort = new AbortController();
    const target = { kind: "http", host: undefined, port, path: "/", https: false, headers: [] } as const;
    const asked = probeOnce(target, () => ({ host: "127.0.0.1", port }), abort.signal);
    abort.abort();
    await expect(asked).rejects.toThrow();
  });
});

it("reports after as many equal answers as the thresholds say, and only changes", async () => {
  const scope = new Scope();
  scopes.push(scope);
  const clock = manualClock();
  const said: string[] = [];
  let answer: "well" | "ill" | "silent" = "well";
  startWorkloadProbe({
    spec: {
      target: { kind: "tcp", host: undefined, port: 1 },
      initialDelayMs: 5000,
      timeoutMs: 1000,
      periodMs: 10_000,
      successThreshold: 2,
      failureThreshold: 3,
    },
    clock,
    scope,
    logger: silentLogger,
    ask: (signal) => {
      if (answer === "well") return Promise.resolve();
      if (answer === "ill") return Promise.reject(new Error("refused"));
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    report: ({ healthy, message }) => said.push(`${healthy} ${message}`),
  });
  await clock.advanceAsync(14_999);
  expect(said).toEqual([]);
  await clock.advanceAsync(30_001);
  expect(said).toEqual(["true "]);
  answer = "ill";
  await clock.advanceAsync(20_000);
  expect(said).toHaveLength(1);
  await clock.advanceAsync(10_000);
  expect(said[1]).toBe("false refused");
  answer = "well";
  await clock.advanceAsync(20_000);
  expect(said[2]).toBe("true ");
  answer = "silent";
  await clock.advanceAsync(33_000);
  expect(said[3]).toBe("false no answer within 1000 ms");
});
