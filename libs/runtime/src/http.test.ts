import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LateenError, silentLogger } from "@lateen/kernel";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createHttp, listenHttp } from "./http.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "runtime-http-"));
});
afterEach(() => rm(directory, { recursive: true }));

const app = () => {
  const http = createHttp({ logger: silentLogger });
  http.get("/ok", () => ({ fine: true }));
  http.get("/user", () => {
    throw new LateenError({ code: "LTN6999", fault: "user", message: "not like this", hint: "do that" });
  });
  http.get("/down", () => {
    throw new LateenError({ code: "LTN6998", fault: "system", message: "it is down", hint: "wait", retryable: true });
  });
  http.get("/bug", () => {
    throw new Error("secret detail");
  });
  return http;
};

function get(options: { socketPath: string; path: string }): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request(options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part) => {
        body += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on("error", reject)
      .end();
  });
}

it("serves on a private unix socket and replaces a stale one", async () => {
  const path = join(directory, "control.sock");
  await writeFile(path, "");
  const http = app();
  await listenHttp(http, { path });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await get({ socketPath: path, path: "/ok" })).toEqual({ status: 200, body: '{"fine":true}' });
  await expect(listenHttp(app(), { path })).rejects.toMatchObject({ code: "LTN6001" });
  await http.close();
});

it("answers user faults and outages with their text, internal errors without it", async () => {
  const http = app();
  const user = await http.inject("/user");
  expect([user.statusCode, user.json()]).toEqual([
    400,
    { error: { code: "LTN6999", message: "not like this", hint: "do that" } },
  ]);
  const down = await http.inject("/down");
  expect([down.statusCode, down.json()]).toEqual([
    503,
    { error: { code: "LTN6998", message: "it is down", hint: "wait" } },
  ]);
  const bug = await http.inject("/bug");
  expect(bug.statusCode).toBe(500);
  expect(bug.body).not.toContain("secret detail");
  expect((await http.inject("/nothing")).statusCode).toBe(404);
});

it("falls back to a free port only when asked", async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  const taken = (blocker.address() as { port: number }).port;
  const strict = app();
  await expect(listenHttp(strict, { host: "127.0.0.1", port: taken })).rejects.toMatchObject({ code: "LTN6001" });
  const lenient = app();
  const { port } = await listenHttp(lenient, { host: "127.0.0.1", port: taken, fallbackToFreePort: true });
  expect(port).not.toBe(taken);
  expect((await fetch(`http://127.0.0.1:${port}/ok`)).status).toBe(200);
  await lenient.close();
  blocker.close();
});
