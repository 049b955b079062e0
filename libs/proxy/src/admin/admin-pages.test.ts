import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AgentConfig } from "../agent/options.ts";
import { configOf, runDir, start, until, useRunDirectory } from "../agent/testing/harness.ts";

useRunDirectory({ beforeEach, afterEach });

describe("admin interface", () => {
  const file = async (text: string) => {
    const path = join(runDir, "bootstrap.yaml");
    await writeFile(path, text);
    return path;
  };
  const empty = () => file("static_resources: {}");
  const onlyStatic = async (more: Partial<AgentConfig> = {}) =>
    await start(
      configOf(undefined, { runDir: undefined, caAddress: undefined, envoyConfigFile: await empty(), ...more }),
    );

  it.each([
    [{ host: "evil.example" }],
    [{ host: "evil.example:15000" }],
    [{ origin: "http://evil.example" }],
    [{ "sec-fetch-site": "cross-site" }],
  ])("does not answer %o", async (headers) => {
    const { admin, quits } = await onlyStatic();
    expect((await admin("/config_dump", { headers })).status).toBe(403);
    expect((await admin("/quitquitquit", { method: "POST", headers })).status).toBe(403);
    expect(quits).toEqual([]);
  });

  it("listens on loopback only", async () => {
    await expect(onlyStatic({ adminAddress: "0.0.0.0" })).rejects.toMatchObject({ code: "LTN5003" });
  });

  it.each([
    ["GET", "/quitquitquit", 405],
    ["GET", "/drain_listeners", 405],
    ["POST", "/config_dump", 405],
    ["GET", "/nothing", 404],
    ["GET", "/help", 200],
    ["GET", "/ready", 200],
    ["GET", "/server_info", 200],
    ["GET", "/stats/prometheus", 200],
    ["POST", "/logging?level=shout", 400],
    ["GET", "/stats?filter=(", 400],
  ])("%s %s answers %i", async (method, path, status) => {
    const { admin } = await onlyStatic();
    expect((await admin(path, { method })).status).toBe(status);
  });

  it("quits on request and is not ready from then on", async () => {
    const { agent, admin, quits } = await onlyStatic();
    expect(agent.notReady()).toBeUndefined();
    expect((await admin("/quitquitquit", { method: "POST" })).status).toBe(200);
    await until(() => quits.length === 1);
    expect(agent.notReady()).toBe("draining");
  });

  it("drains when its scope closes", async () => {
    const { agent, scope } = await onlyStatic();
    await scope.close();
    expect(agent.notReady()).toBe("draining");
  });
});
