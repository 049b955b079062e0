import { createServer, type Server } from "node:net";
import { Client, connectivityState } from "@grpc/grpc-js";
import { Scope } from "@lateen/kernel";
import type { ChannelOptions } from "@lateen/ports";
import { createTestCa, freePort } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { channelMaterial } from "./channel.ts";
import { connectAds } from "./connect-ads.ts";

const ca = createTestCa();
const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

function channelTo(port: number, serverName: string): ChannelOptions {
  return {
    address: `127.0.0.1:${port}`,
    serverName,
    identity: () => ({ rootPem: ca.rootPem, token: "shop/web" }),
  };
}

/** A client that waits so long between attempts to connect, and asks for this server. */
function clientOf(port: number, serverName: string, backoffMs: number): Client {
  const { target, credentials, options } = channelMaterial(channelTo(port, serverName));
  return new Client(target, credentials, { ...options, "grpc.initial_reconnect_backoff_ms": backoffMs });
}

/** Resolves when an attempt to connect has failed. */
function failed(client: Client): Promise<void> {
  const channel = client.getChannel();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = () => {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.TRANSIENT_FAILURE) return resolve();
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => (error ? reject(error) : look()));
  };
  look();
  return promise;
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

/** Listens until somebody asks for `wanted.test`. @returns the names that were asked for. */
async function askedUntilWanted(port: number): Promise<readonly string[]> {
  const server = createServer();
  open.push(() => server.close());
  const asked: string[] = [];
  const wanted = new Promise<void>((resolve) => {
    server.on("connection", (socket) => {
      open.push(() => socket.destroy());
      socket.once("data", (hello) => {
        asked.push(/[a-z-]+\.test/.exec(hello.toString("latin1"))?.[0] ?? "");
        if (asked.at(-1) === "wanted.test") resolve();
      });
    });
  });
  await listen(server, port);
  await wanted;
  return asked;
}

/** A client that is still wanted, and tries again after all others would have. */
async function wantedClient(port: number, backoffMs: number): Promise<void> {
  const wanted = clientOf(port, "wanted.test", backoffMs);
  open.push(() => wanted.close());
  await failed(wanted);
}

describe("what is closed after failed attempts does not connect any more when the server is back", () => {
  it("channels", async () => {
    const port = await freePort();
    for (let i = 0; i < 5; i++) {
      const client = clientOf(port, "given-up.test", 300);
      await failed(client);
      client.close();
    }
    await wantedClient(port, 900);
    expect(await askedUntilWanted(port)).toEqual(["wanted.test"]);
  });

  it("ADS streams", async () => {
    const port = await freePort();
    const scope = new Scope();
    await new Promise<void>((resolve) => {
      let failures = 0;
      connectAds(scope, channelTo(port, "given-up.test"), {
        opened: () => {},
        received: () => {},
        disconnected: () => {
          if (++failures === 3) resolve();
        },
      });
    });
    await scope.close();
    await wantedClient(port, 1_800);
    expect(await askedUntilWanted(port)).toEqual(["wanted.test"]);
  });
});
