import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestCa, eventually, NatsServer, recordingLogger } from "@lateen/test-support";
import { nkeys } from "nats";
import { describe, expect, it } from "vitest";
import type { NatsBusOptions } from "../nats-bus.ts";
import { noServer, PATIENCE_MS, startBus } from "../testing/rig.ts";

type AtEnd = (cleanUp: () => void | Promise<void>) => void;

function folder(atEnd: AtEnd): (name: string, text: string) => string {
  const dir = mkdtempSync(join(tmpdir(), "lateen-nats-secrets-"));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  return (name, text) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
}

async function server(atEnd: AtEnd, config: string): Promise<NatsServer> {
  const started = await NatsServer.start(config);
  atEnd(() => started.close());
  return started;
}

/** Connects, however often the first attempts are cut off: a busy server closes what takes too long to name itself. */
async function connects(atEnd: AtEnd, url: string, options: Partial<NatsBusOptions>): Promise<void> {
  const { bus, close } = startBus(url, options);
  atEnd(close);
  await eventually("it connects", async () => bus.connected || undefined, PATIENCE_MS);
}

/** Connects, or says why not. */
async function outcome(atEnd: AtEnd, url: string, options: Partial<NatsBusOptions>): Promise<string> {
  const { bus, close } = startBus(url, options);
  atEnd(close);
  return eventually("it connects, or is refused", async () => (bus.connected ? "connected" : bus.failure), PATIENCE_MS);
}

describe.skipIf(noServer)("who may use a real nats-server", { timeout: 120_000, concurrent: true }, () => {
  it("user and password, from a file that may be replaced while we run", async ({ onTestFinished }) => {
    const file = folder(onTestFinished);
    const { url } = await server(onTestFinished, 'authorization { user: "lateen", password: "se:cret" }');
    const credentials = { kind: "user", file: file("user", "lateen:wrong\n") } as const;
    const logger = recordingLogger();
    const { bus, close } = startBus(url, { credentials, logger });
    onTestFinished(close);
    await eventually("it is refused", async () => bus.failure, PATIENCE_MS);
    file("user", "lateen:se:cret\n");
    await eventually("it connects", async () => bus.connected || undefined, PATIENCE_MS);
    expect(JSON.stringify(logger.lines)).not.toMatch(/se:cret|lateen:wrong/);
  });

  it("a token", async ({ onTestFinished }) => {
    const file = folder(onTestFinished);
    const { url } = await server(onTestFinished, 'authorization { token: "s3cret" }');
    const with_ = (text: string) => ({ credentials: { kind: "token", file: file(`t-${text}`, text) } as const });
    await connects(onTestFinished, url, with_("s3cret"));
    expect(await outcome(onTestFinished, url, with_("other"))).not.toBe("connected");
    expect(await outcome(onTestFinished, url, {})).not.toBe("connected");
  });

  it("an nkey", async ({ onTestFinished }) => {
    const file = folder(onTestFinished);
    const [user, other] = [nkeys.createUser(), nkeys.createUser()];
    const { url } = await server(onTestFinished, `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`);
    const seed = (pair: typeof user) => Buffer.from(pair.getSeed()).toString();
    const with_ = (name: string, pair: typeof user) => ({
      credentials: { kind: "nkey", file: file(name, seed(pair)) } as const,
    });
    await connects(onTestFinished, url, with_("own", user));
    expect(await outcome(onTestFinished, url, with_("other", other))).not.toBe("connected");
  });

  it("what is no credentials file is refused with the file's name and not its content", async ({ onTestFinished }) => {
    const file = folder(onTestFinished);
    const { url } = await server(onTestFinished, "");
    const bad = [
      { kind: "creds", file: file("a", "no credentials SECRET") },
      { kind: "nkey", file: file("b", "SECRET") },
      { kind: "user", file: file("c", "SECRET") },
      { kind: "token", file: file("d", "") },
      { kind: "token", file: "/nowhere" },
    ] as const;
    for (const credentials of bad) {
      const reason = await outcome(onTestFinished, url, { credentials });
      expect(reason).toContain(credentials.file);
      expect(reason).toContain("LTN6201");
      expect(reason).not.toContain("SECRET");
    }
  });

  it("TLS: the server's certificate is checked, and ours is shown", async ({ onTestFinished }) => {
    const file = folder(onTestFinished);
    const [ca, strangers] = [createTestCa("mesh"), createTestCa("strangers")];
    const [own, client, stranger] = [
      ca.issue({ dns: ["localhost"] }),
      ca.issue({ dns: ["pilot"] }),
      strangers.issue({ dns: ["pilot"] }),
    ];
    const caFile = file("ca.pem", ca.rootPem);
    const { port } = await server(
      onTestFinished,
      `tls { cert_file: "${file("cert.pem", own.certPem)}", key_file: "${file("key.pem", own.keyPem)}", ca_file: "${caFile}", verify: true }`,
    );
    const shown = { certFile: file("client.pem", client.certPem), keyFile: file("client-key.pem", client.keyPem) };
    const foreign = { certFile: file("x.pem", stranger.certPem), keyFile: file("x-key.pem", stranger.keyPem) };
    const of = (host: string, tls: NatsBusOptions["tls"]) => outcome(onTestFinished, `tls://${host}:${port}`, { tls });
    await connects(onTestFinished, `tls://localhost:${port}`, { tls: { caFile, ...shown } });
    // Another name than the certificate's, another authority, no certificate, a stranger's.
    expect(await of("127.0.0.1", { caFile, ...shown })).not.toBe("connected");
    expect(await of("localhost", { caFile: file("other.pem", strangers.rootPem), ...shown })).not.toBe("connected");
    expect(await of("localhost", { caFile })).not.toBe("connected");
    expect(await of("localhost", { caFile, ...foreign })).not.toBe("connected");
  });

  it("TLS that was asked for is not done without", async ({ onTestFinished }) => {
    const { port } = await server(onTestFinished, "");
    expect(await outcome(onTestFinished, `tls://127.0.0.1:${port}`, {})).not.toBe("connected");
  });
});

it("refuses addresses that are none, and credentials in them, without repeating those", () => {
  const wrong = [
    "",
    "http://a:1",
    "nats://",
    "nats://a/path",
    "nats://user:SECRET@a:1",
    "nats://a:99999",
    "nats://TOKEN@a",
  ];
  for (const url of wrong) {
    let said = "";
    try {
      startBus(url);
    } catch (error) {
      said = String((error as { readonly code?: unknown }).code) + String(error);
    }
    expect(said).toContain("LTN6202");
    expect(said).not.toMatch(/SECRET/);
  }
  for (const mesh of ["", "a b", "a.b", "*", ">"]) expect(() => startBus("a:1", { mesh })).toThrow(/cannot name/);
});
