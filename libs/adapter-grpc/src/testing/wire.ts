import { status } from "@grpc/grpc-js";
import { err, ok, Scope, silentLogger } from "@lateen/kernel";
import type { AdsServer, Caller, ChannelIdentity, ChannelOptions } from "@lateen/ports";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { createTestCa } from "@lateen/test-support";
import { type Authenticator, connectAds, type GrpcServer, type GrpcService, serveGrpc } from "../index.ts";

export const SERVER_NAME = "istiod.istio-system.svc";
export const ca = createTestCa();
export const serverTls = () => ({ ...ca.issue({ dns: [SERVER_NAME] }), rootPem: ca.rootPem });

/** Tokens are `namespace/account`; a certificate speaks for its only SPIFFE name. */
export const authenticator: Authenticator = {
  async authenticate(uris, bearer) {
    const [uri] = uris;
    const spiffe = /^spiffe:\/\/cluster\.local\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uri ?? "");
    if (spiffe?.[1] && spiffe[2]) return ok({ namespace: spiffe[1], serviceAccount: spiffe[2], via: "certificate" });
    const [namespace, serviceAccount] = (bearer ?? "").split("/");
    return namespace && serviceAccount ? ok({ namespace, serviceAccount, via: "token" }) : err("no credentials");
  },
};

const scopes: Scope[] = [];
export function newScope(): Scope {
  const scope = new Scope();
  scopes.push(scope);
  return scope;
}
/** Closes what the test opened; for `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const scope of scopes.splice(0).reverse()) await scope.close();
}

export async function serve(services: readonly GrpcService[], limits = {}): Promise<GrpcServer> {
  const server = await serveGrpc({
    host: "127.0.0.1",
    port: 0,
    tls: serverTls(),
    services,
    logger: silentLogger,
    limits,
  });
  newScope().defer(() => server.close(0));
  return server;
}

export function channelTo(
  server: GrpcServer,
  identity: Partial<ChannelIdentity> = { token: "shop/web" },
): ChannelOptions {
  return {
    address: `127.0.0.1:${server.port}`,
    serverName: SERVER_NAME,
    identity: () => ({ rootPem: ca.rootPem, ...identity }),
  };
}

export const request = (fields: Partial<DeltaDiscoveryRequest>): DeltaDiscoveryRequest => ({
  typeUrl: "t",
  resourceNamesSubscribe: [],
  resourceNamesUnsubscribe: [],
  resourceLocatorsSubscribe: [],
  resourceLocatorsUnsubscribe: [],
  initialResourceVersions: {},
  responseNonce: "",
  ...fields,
});
export const response = (nonce: string, bytes = 8): DeltaDiscoveryResponse => ({
  systemVersionInfo: "1",
  typeUrl: "t",
  nonce,
  resources: [{ name: "r", version: "1", aliases: [], resource: { typeUrl: "t", value: Buffer.alloc(bytes, 1) } }],
  removedResources: [],
  removedResourceNames: [],
});

/** An ADS server that greets every request with one response and notes who called. */
export function echoAds(callers: (Caller | undefined)[] = []): AdsServer {
  return {
    openSotw: (_caller, transport) => ({
      receive: () => transport.close(status.UNIMPLEMENTED, "not here"),
      drained() {},
      closed() {},
    }),
    openDelta(caller, transport) {
      callers.push(caller);
      let sent = 0;
      return { receive: () => void transport.send(response(`n${++sent}`)), drained() {}, closed() {} };
    },
  };
}

/** Events of a client as text, with a way to wait for one. */
export function recorder() {
  const log: string[] = [];
  const waiting: { text: string; resolve: () => void }[] = [];
  return {
    log,
    note(text: string) {
      log.push(text);
      for (const wait of waiting.splice(0)) {
        if (text.includes(wait.text)) wait.resolve();
        else waiting.push(wait);
      }
    },
    saw(text: string): Promise<void> {
      return log.some((line) => line.includes(text))
        ? Promise.resolve()
        : new Promise((resolve) => waiting.push({ text, resolve }));
    },
  };
}

export function startAds(channel: ChannelOptions, scope = newScope()) {
  const seen = recorder();
  const connection = connectAds(scope, channel, {
    opened: () => {
      seen.note("opened");
      connection.send(request({}));
    },
    received: (message) => seen.note(`received ${message.nonce}`),
    disconnected: (reason) => seen.note(`disconnected ${reason}`),
  });
  return seen;
}
