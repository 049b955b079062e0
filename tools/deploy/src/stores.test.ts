import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { connect } from "node:tls";
import { pathToFileURL } from "node:url";
import { keepStoreSecrets, openKubernetes } from "@lateen/adapter-kubernetes";
import { memoryBus } from "@lateen/adapter-local";
import { type NatsFlags, natsBus, natsOptionsOf } from "@lateen/adapter-nats";
import { parseRedisUrl, redisQuotaStore } from "@lateen/adapter-redis";
import { Scope, Secret, silentLogger, systemClock } from "@lateen/kernel";
import { componentsOf, settingsOf } from "@lateen/manifests";
import { type FlagSpecs, type Flags, readConfig } from "@lateen/runtime";
import { ensureService } from "@lateen/services";
import { createTestCa, eventually, freePort, startApiServer } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { parts } from "./parts.ts";

const APPS = resolve(import.meta.dirname, "../../../apps");
const PATIENCE_MS = 60_000;
type AtEnd = (cleanUp: () => void | Promise<void>) => void;

const programs = { "istio-nats": ensureService("nats-server"), "istio-redis": ensureService("redis-server") };
type Store = keyof typeof programs;
const skipped = (store: Store) =>
  programs[store].path === undefined && !(process.env.CI !== undefined && programs[store].installable);

const components = componentsOf(settingsOf("demo"), parts);
function component(name: string) {
  const found = components.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

/** A directory of the test's own. */
function folder(atEnd: AtEnd): string {
  const dir = mkdtempSync(join(tmpdir(), "lateen-store-"));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** The Secret that citadel makes, as files; its certificate is good for loopback, too. */
async function secretFiles(store: Store, atEnd: AtEnd): Promise<string> {
  const dir = folder(atEnd);
  const api = await startApiServer();
  writeFileSync(join(dir, "kubeconfig"), api.kubeconfig());
  const kubernetes = await openKubernetes({ kubeconfig: join(dir, "kubeconfig") });
  const scope = new Scope();
  const ca = createTestCa();
  await keepStoreSecrets(kubernetes, {
    stores: [store],
    issue: (names) => ca.issue({ dns: [...names, "localhost"] }),
    trusts: () => true,
    scope,
    clock: systemClock(),
  });
  const data = api.get("v1", "Secret", store, "istio-system")?.data as Record<string, string>;
  for (const [file, text] of Object.entries(data)) writeFileSync(join(dir, file), Buffer.from(text, "base64"));
  writeFileSync(join(dir, "root-cert.pem"), ca.rootPem);
  kubernetes.close();
  await scope.close();
  await api.stop();
  return dir;
}

/** Runs a store as its pod does: same arguments, same configuration, other paths and another port. */
async function started(store: Store, secrets: string, atEnd: AtEnd): Promise<number> {
  const { args, files = {}, env = [], ports } = component(store);
  const port = await freePort();
  const dir = folder(atEnd);
  const local = (text: string) =>
    text
      .replaceAll("/var/run/secrets/store", secrets)
      .replaceAll("/etc/store", dir)
      .replaceAll("/data", dir)
      .replaceAll(String(ports[0]?.port), String(port));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), local(text));
  const variables = Object.fromEntries(
    env.map(({ name, valueFrom }) => {
      const { key } = (valueFrom as { secretKeyRef: { key: string } }).secretKeyRef;
      return [String(name), readText(join(secrets, key))];
    }),
  );
  const child = spawn(programs[store].path ?? "", args.slice(1).map(local), {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...variables },
  });
  atEnd(() => ended(child));
  let log = "";
  await new Promise<void>((done, failed) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        log += text;
        if (/Server is ready|Ready to accept connections/.test(log)) done();
      });
    child.once("error", failed);
    child.once("exit", (code) => failed(new Error(`${store} ended with ${code}: ${log}`)));
  });
  return port;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

/** What a program reads from its container's arguments, with the store's files and address of this test. */
async function optionsOf(name: string, store: Store, secrets: string, port: number) {
  const { app, args, ports } = component(name);
  const { flags } = (await import(pathToFileURL(join(APPS, app, "src/config.ts")).href)) as { flags: Flags<FlagSpecs> };
  const inside = component(store).ports[0]?.port;
  const local = args.map((arg) =>
    arg
      .replace(`/var/run/secrets/stores/${store.replace("istio-", "")}`, secrets)
      .replace("/var/run/secrets/istio/", `${secrets}/`)
      .replace(`${store}.istio-system.svc:${inside}`, `localhost:${port}`),
  );
  const read = readConfig(flags, local, {});
  if (!read.ok) throw new Error(`${name} with ${ports.length} ports does not take its arguments`);
  return read.value.values as Record<string, unknown>;
}

describe.skipIf(skipped("istio-nats"))("NATS of an installation", { timeout: 120_000 }, () => {
  it.each(["istio-galley", "istio-pilot", "istio-mixer"])(
    "lets %s in over TLS, by the Secret that citadel made, and nobody else",
    async (name) => {
      const cleanUps: (() => void | Promise<void>)[] = [];
      const atEnd: AtEnd = (cleanUp) => void cleanUps.unshift(cleanUp);
      try {
        const secrets = await secretFiles("istio-nats", atEnd);
        const port = await started("istio-nats", secrets, atEnd);
        const flags = (await optionsOf(name, "istio-nats", secrets, port)) as unknown as NatsFlags;
        const bus = (options: NatsFlags) => {
          const scope = new Scope();
          atEnd(() => scope.close());
          const found = natsOptionsOf(options);
          if (found === undefined) throw new Error(`${name} does not use NATS`);
          return natsBus({ ...found, name, codecs: {}, local: memoryBus({ logger: silentLogger }), scope });
        };
        const insider = bus(flags);
        await eventually("it connects", async () => insider.connected || undefined, PATIENCE_MS);
        const outsider = bus({ ...flags, natsCredentials: undefined });
        expect(await eventually("it is refused", async () => outsider.failure, PATIENCE_MS)).toMatch(/auth/i);
        const inTheClear = bus({ ...flags, natsUrl: [`nats://localhost:${port}`], natsCa: undefined });
        expect(await eventually("it is refused", async () => inTheClear.failure, PATIENCE_MS)).toBeTruthy();
        expect(inTheClear.connected).toBe(false);
      } finally {
        for (const cleanUp of cleanUps) await cleanUp();
      }
    },
  );
});

describe.skipIf(skipped("istio-redis"))("Redis of an installation", { timeout: 120_000 }, () => {
  it("lets mixer in over TLS, by the Secret that citadel made, and nobody else", async ({ onTestFinished }) => {
    const secrets = await secretFiles("istio-redis", onTestFinished);
    const port = await started("istio-redis", secrets, onTestFinished);
    const values = await optionsOf("istio-mixer", "istio-redis", secrets, port);
    const address = parseRedisUrl(String(values.redisUrl));
    expect(address.tls).toBe(true);
    const scope = new Scope();
    onTestFinished(() => scope.close());
    const caPem = readText(String(values.redisCaFile));
    const password = new Secret(readText(String(values.redisPasswordFile)));
    const insider = redisQuotaStore(scope, {
      address,
      password: () => password,
      tls: { caPem },
      clock: systemClock(),
      random: { next: Math.random },
      logger: silentLogger,
    });
    await eventually("it connects", async () => insider.up || undefined, PATIENCE_MS);
    const outsider = connect({ host: "localhost", port, ca: caPem });
    onTestFinished(() => void outsider.destroy());
    outsider.write("PING\r\nAUTH guessed\r\n");
    let answers = "";
    for await (const chunk of outsider) {
      answers += String(chunk);
      if (answers.split("\r\n").length > 2) break;
    }
    expect(answers).toMatch(/^-NOAUTH .*\r\n-WRONGPASS /);
  });
});

function readText(file: string): string {
  return readFileSync(file, "utf8").trim();
}
