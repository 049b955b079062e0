import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { err, LateenError, ok, silentLogger } from "@lateen/kernel";
import { decodeObject, resourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, ConfigWriter, StateDelta, StateTopic } from "@lateen/ports";
import { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import { IstioCertificateServiceClient } from "@lateen/proto/istio/v1/auth/ca";
import { afterEach, describe, expect, it } from "vitest";
import {
  accessLogService,
  certificateService,
  configDistributionService,
  connectAls,
  healthService,
  remoteConfigWriter,
  signCsr,
  watchConfig,
} from "./index.ts";
import { authenticator, ca, channelTo, closeAll, newScope, recorder, SERVER_NAME, serve } from "./testing/wire.ts";

afterEach(closeAll);

describe("certificate service", () => {
  const service = certificateService(
    async (caller, csr, seconds) =>
      csr === "good"
        ? ok([`${caller.namespace}/${caller.serviceAccount}`, String(seconds)])
        : err({ code: "invalidArgument", message: "bad CSR" }),
    authenticator,
    silentLogger,
  );

  it("signs for the authenticated caller", async () => {
    const server = await serve([service]);
    expect(await signCsr(channelTo(server), "good", 3600)).toEqual(["shop/web", "3600"]);
  });

  it.each([
    [
      "a bad request",
      { token: "shop/web" },
      "bad",
      { code: "LTN6403", retryable: false, detail: { status: status.INVALID_ARGUMENT } },
    ],
    ["no identity", {}, "good", { code: "LTN6403", retryable: false, detail: { status: status.UNAUTHENTICATED } }],
    ["an over-long request", { token: "a/b" }, "x".repeat(70_000), { detail: { status: status.INVALID_ARGUMENT } }],
  ])("refuses %s", async (_title, identity, csr, expected) => {
    const server = await serve([service]);
    await expect(signCsr(channelTo(server, identity), csr, 0)).rejects.toMatchObject(expected);
  });

  it("says that asking again may help when nobody listens", async () => {
    const server = await serve([]);
    await server.close(0);
    await expect(signCsr(channelTo(server), "good", 0)).rejects.toMatchObject({ code: "LTN6403", retryable: true });
  });

  it("refuses messages above the bound", async () => {
    const server = await serve([service], { receiveBytes: 100_000 });
    const client = new IstioCertificateServiceClient(
      `127.0.0.1:${server.port}`,
      credentials.createSsl(Buffer.from(ca.rootPem)),
      {
        "grpc.ssl_target_name_override": SERVER_NAME,
      },
    );
    newScope().defer(() => client.close());
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.createCertificate({ csr: "x".repeat(200_000), validityDuration: 0n, metadata: undefined }, (e) =>
        resolve(e),
      );
    });
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
  });
});

describe("config distribution", () => {
  const accept = (name: string, revision: number): AcceptedObject => {
    const origin = { file: "mesh.yaml", line: 3, column: 1 };
    const json = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    const decoded = decodeObject(json, origin);
    if (!decoded.ok) throw new Error(JSON.stringify(decoded.diagnostics));
    return { object: decoded.object, origin, ownerFile: "mesh.yaml", revision };
  };
  const upsert = (snapshot: boolean, revision: number, ...names: string[]): StateDelta<AcceptedObject> => ({
    snapshot,
    revision,
    upserted: names.map((name) => ({ key: `Namespace//${name}`, value: accept(name, revision), revision })),
    removed: [],
  });
  function topic() {
    const receivers: ((delta: StateDelta<AcceptedObject>) => void)[] = [];
    const state: StateTopic<AcceptedObject> = {
      publish: async () => {},
      watch: (scope, receive) => {
        receivers.push(receive);
        scope.defer(() => void receivers.splice(receivers.indexOf(receive), 1));
        receive(upsert(true, 7, "a", "b"));
      },
    };
    return { state, receivers };
  }

  it("delivers the snapshot, then deltas, with origin and owner", async () => {
    const { state, receivers } = topic();
    const server = await serve([configDistributionService({ topic: state, authenticator, logger: silentLogger })]);
    const seen = recorder();
    const deltas: StateDelta<AcceptedObject>[] = [];
    const receive = (delta: StateDelta<AcceptedObject>) => {
      deltas.push(delta);
      seen.note(`r${delta.revision}`);
    };
    watchConfig(newScope(), channelTo(server, { token: "istio-system/lateen-supervisor" }), receive, (s) =>
      seen.note(JSON.stringify(s)),
    );
    await seen.saw("r7");
    receivers[0]?.({ ...upsert(false, 8, "c"), removed: ["Namespace//a"] });
    await seen.saw("r8");
    expect(deltas).toEqual([upsert(true, 7, "a", "b"), { ...upsert(false, 8, "c"), removed: ["Namespace//a"] }]);
    expect(seen.log[0]).toBe('{"connected":true}');
  });

  it("leaves out kinds that were not asked for", async () => {
    const { state } = topic();
    const server = await serve([configDistributionService({ topic: state, authenticator, logger: silentLogger })]);
    const first = Promise.withResolvers<StateDelta<AcceptedObject>>();
    const channel = channelTo(server, { token: "istio-system/x" });
    watchConfig(newScope(), channel, (delta) => first.resolve(delta), undefined, { kinds: ["Service"] });
    expect(await first.promise).toEqual({ snapshot: true, revision: 7, upserted: [], removed: [] });
  });

  const PILOT = { token: "istio-system/istio-pilot-service-account" };
  it("puts in force what a component writes, and says why not", async () => {
    const { state } = topic();
    const written: unknown[] = [];
    const writer: ConfigWriter = {
      async write({ upserted, removed }) {
        if (upserted[0]?.metadata.name === "bad")
          throw new LateenError({ code: "LTN2012", fault: "user", message: "no such thing" });
        if (upserted[0]?.metadata.name === "full") throw new Error("no space left");
        written.push(
          upserted.map(({ metadata }) => metadata.name),
          removed,
        );
      },
    };
    const server = await serve([
      configDistributionService({ topic: state, authenticator, writer, logger: silentLogger }),
    ]);
    const remote = remoteConfigWriter(channelTo(server, PILOT));
    await remote.write({ upserted: [accept("c", 1).object], removed: [resourceKey("Namespace", "", "a")] });
    expect(written).toEqual([["c"], ["Namespace//a"]]);
    await expect(remote.write({ upserted: [accept("bad", 1).object], removed: [] })).rejects.toMatchObject({
      code: "LTN6404",
      retryable: false,
      message: expect.stringContaining("no such thing"),
    });
    await expect(remote.write({ upserted: [accept("full", 1).object], removed: [] })).rejects.toMatchObject({
      code: "LTN6404",
      retryable: true,
    });
    const other = remoteConfigWriter(channelTo(server, { token: "istio-system/istio-mixer-service-account" }));
    await expect(other.write({ upserted: [accept("d", 1).object], removed: [] })).rejects.toMatchObject({
      message: expect.stringContaining("may not write"),
    });
    expect(written).toHaveLength(2);
  });

  it("comes from whichever replica answers, also after that one ended", async () => {
    const { state } = topic();
    const start = () => serve([configDistributionService({ topic: state, authenticator, logger: silentLogger })]);
    const [gone, first, second] = [await start(), await start(), await start()];
    await gone.close(0);
    const seen = recorder();
    let snapshots = 0;
    const address = [gone, first, second].map(({ port }) => `127.0.0.1:${port}`).join(",");
    const channel = { ...channelTo(first, { token: "istio-system/x" }), address };
    watchConfig(
      newScope(),
      channel,
      () => seen.note(`snapshot ${++snapshots}`),
      ({ connected }) => seen.note(connected ? "connected" : "lost"),
    );
    await seen.saw("snapshot 1");
    await first.close(0);
    await seen.saw("lost");
    await seen.saw("snapshot 2");
  });

  it("does not listen to a galley that led before one that was heard already", async () => {
    const leadership = (epoch: number, revision: number): StateTopic<AcceptedObject> => ({
      publish: async () => {},
      watch: (_scope, receive) => receive({ ...upsert(true, revision, "a"), epoch }),
    });
    const start = (topic: StateTopic<AcceptedObject>) =>
      serve([configDistributionService({ topic, authenticator, logger: silentLogger })]);
    const [leader, former, next] = [
      await start(leadership(7, 3)),
      await start(leadership(6, 9)),
      await start(leadership(8, 1)),
    ];
    const seen = recorder();
    const address = [leader, former].map(({ port }) => `127.0.0.1:${port}`).join(",");
    const channel = { ...channelTo(leader, { token: "istio-system/x" }), address };
    watchConfig(
      newScope(),
      channel,
      ({ epoch, revision }) => seen.note(`epoch ${epoch} revision ${revision}`),
      (state) => seen.note(state.connected ? "connected" : state.reason),
    );
    await seen.saw("epoch 7 revision 3");
    await leader.close(0);
    await seen.saw("does not lead any more");
    channel.address = `127.0.0.1:${next.port}`;
    await seen.saw("epoch 8 revision 1");
    expect(JSON.stringify(seen.log)).not.toContain("epoch 6");
  });

  it("refuses callers of other namespaces", async () => {
    const { state } = topic();
    const server = await serve([configDistributionService({ topic: state, authenticator, logger: silentLogger })]);
    const seen = recorder();
    watchConfig(
      newScope(),
      channelTo(server),
      () => seen.note("delta"),
      (s) => seen.note(JSON.stringify(s)),
    );
    await seen.saw("may not read the configuration");
    expect(seen.log).not.toContain("delta");
  });
});

describe("access logs", () => {
  const message = (path: string, id?: string): StreamAccessLogsMessage =>
    StreamAccessLogsMessage.fromPartial({
      logEntries: { $case: "httpLogs", value: { logEntry: [{ request: { path } }] } },
      ...(id === undefined ? {} : { identifier: { logName: "l", node: { id } } }),
    });

  it("reach the receiver with the stream's node and the caller", async () => {
    const got = recorder();
    const service = accessLogService(
      (m, node, caller) => {
        const path = m.logEntries?.$case === "httpLogs" ? m.logEntries.value.logEntry[0]?.request?.path : "";
        got.note(`${path} ${node?.id} ${caller.serviceAccount}`);
      },
      authenticator,
      silentLogger,
    );
    const connection = connectAls(newScope(), channelTo(await serve([service])));
    const id = "sidecar~1.1.1.1~web-1.shop~shop.svc.cluster.local";
    connection.send(message("/a", id));
    connection.send(message("/b"));
    await got.saw("/b");
    expect(got.log).toEqual([`/a ${id} web`, `/b ${id} web`]);
  });

  it("are refused for a node of another namespace", async () => {
    const got = recorder();
    const service = accessLogService(() => got.note("received"), authenticator, silentLogger);
    const connection = connectAls(newScope(), channelTo(await serve([service])), {
      onState: (_connected, reason) => got.note(`state ${reason}`),
    });
    connection.send(message("/a", "sidecar~1.1.1.1~x.other~other.svc.cluster.local"));
    await got.saw("another namespace");
    expect(got.log).not.toContain("received");
  });

  it("are dropped and counted when the queue is full", async () => {
    const nobody = { ...channelTo(await serve([])), address: "127.0.0.1:1" };
    const connection = connectAls(newScope(), nobody, { queue: 2 });
    const sent = [1, 2, 3, 4, 5].map(() => connection.send(message("/")));
    expect(sent.filter((taken) => !taken).length).toBe(connection.dropped);
    expect(connection.dropped).toBeGreaterThanOrEqual(2);
  });
});

describe("health", () => {
  it("answers for known services and follows the switch", async () => {
    const health = healthService(["known"]);
    const server = await serve([health]);
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createSsl(Buffer.from(ca.rootPem)), {
      "grpc.ssl_target_name_override": SERVER_NAME,
    });
    newScope().defer(() => client.close());
    const check = (service: string) =>
      new Promise<number | string>((resolve) => {
        const encoded = service === "" ? Buffer.alloc(0) : Buffer.from([10, service.length, ...Buffer.from(service)]);
        client.makeUnaryRequest(
          "/grpc.health.v1.Health/Check",
          () => encoded,
          (b) => b[1] ?? 0,
          null,
          (error, value) => resolve(error ? error.details : (value ?? -1)),
        );
      });
    expect(await check("")).toBe(2);
    health.setServing(true);
    expect(await Promise.all([check(""), check("known"), check("other")])).toEqual([1, 1, "unknown service"]);
  });
});
