import { createTestCa } from "@lateen/test-support";
import type { HttpConnectionManagerSpec, ListenerSpec, SecretSpec } from "../../config/plan.ts";
import { forwardTo, hostSpec, managerSpec, routeSpec, tableSpec } from "../../router/testing/rig.ts";
import { Origin, type Peer, response } from "../../router/testing/wire.ts";
import {
  chainSpec,
  DataPathRig,
  type DataPathRigOptions,
  INSPECT_ALL,
  listenerSpec,
  loopbackAddress,
  serverTls,
  tcpSpec,
} from "./data-path-rig.ts";

/** What a test started, closed in reverse order by {@link Fixtures.close}. */
export class Fixtures {
  readonly #closers: (() => void)[] = [];

  close(): void {
    for (const close of this.#closers.splice(0).reverse()) close();
  }

  defer(close: () => void): void {
    this.#closers.push(close);
  }

  rig(options: DataPathRigOptions = {}): DataPathRig {
    const made = new DataPathRig(options);
    this.defer(() => made.close());
    return made;
  }

  async origin(answer?: (peer: Peer, message: string) => void): Promise<Origin> {
    const started = await Origin.start(answer);
    this.defer(() => started.close());
    return started;
  }

  /** Answers with its name and the request line. */
  httpOrigin(name: string): Promise<Origin> {
    return this.origin((peer, message) => peer.send(response("200 OK", `${name}: ${message.split("\r\n")[0]}`)));
  }

  /** A sidecar with container port 9080 captured, the explicit proxy, and stand-ins for services. */
  sidecar(app: Origin, options: SidecarOptions = {}): DataPathRig & { readonly serviceAddress: string } {
    const serviceAddress = loopbackAddress();
    const services = (options.services ?? []).map(([host, port]) => ({
      address: serviceAddress,
      port,
      host,
      destinationPort: port,
    }));
    const proxy = this.rig({
      ...options,
      bootstrap: (address) => ({
        capture: {
          mode: "proxy-env",
          address,
          inbound: [{ containerPort: 9080, appAddress: "127.0.0.1", appPort: app.port }],
          explicitProxy: { address, port: 15001 },
          services,
        },
        ...options.bootstrap?.(address),
      }),
    });
    return Object.assign(proxy, { serviceAddress });
  }
}

export interface SidecarOptions extends DataPathRigOptions {
  readonly services?: readonly (readonly [host: string, port: number])[];
}

export const ca = createTestCa();
export const WEB = "spiffe://cluster.local/ns/default/sa/web";
export const CLIENT = "spiffe://cluster.local/ns/shop/sa/client";
export const GET = "GET /x HTTP/1.1\r\nHost: shop\r\n\r\n";

/** The secrets of a workload, newly issued. */
export function identity(uri: string): readonly SecretSpec[] {
  const { certPem, keyPem } = ca.issue({ uris: [uri] });
  return [
    { kind: "certificate", name: "default", certChainPem: certPem, privateKeyPem: keyPem },
    { kind: "trust", name: "ROOTCA", bundlePem: ca.rootPem },
  ];
}

/** TLS options of a client with an identity. */
export function credentials(uri: string) {
  const { certPem, keyPem } = ca.issue({ uris: [uri] });
  return { cert: certPem, key: keyPem, ca: ca.rootPem };
}

/** A manager that forwards everything to one cluster and tells it who the client is. */
export function manager(cluster: string): HttpConnectionManagerSpec {
  const table = tableSpec([hostSpec(["*"], [routeSpec("/", forwardTo(cluster))])]);
  return managerSpec({
    routes: { inline: table },
    forwardClientCert: "appendForward",
    setClientCertDetails: { subject: true, uri: true, dns: true, cert: false },
  });
}

/** The listener that catches what no other takes, as Istio's control planes send it. */
export function catchAll(cluster = "PassthroughCluster"): ListenerSpec {
  return listenerSpec("virtualOutbound", 15001, {
    bindToPort: true,
    useOriginalDst: true,
    chains: [chainSpec(tcpSpec("BlackHoleCluster"), { destinationPort: 15001 }), chainSpec(tcpSpec(cluster))],
  });
}

/** virtualInbound for port 9080 in the given mode. */
export function inbound(mode: "PERMISSIVE" | "STRICT", protocol: "http" | "tcp"): ListenerSpec {
  const cluster = "inbound|9080||";
  const terminal = protocol === "http" ? manager(cluster) : tcpSpec(cluster);
  const alpn = mode === "STRICT" ? {} : { applicationProtocols: ["istio"] };
  const chains = [
    chainSpec(tcpSpec("BlackHoleCluster"), { destinationPort: 15006 }),
    chainSpec(terminal, { destinationPort: 9080, transportProtocol: "tls", ...alpn }, { transport: serverTls() }),
    ...(mode === "STRICT" ? [] : [chainSpec(terminal, { destinationPort: 9080, transportProtocol: "raw_buffer" })]),
  ];
  return listenerSpec("virtualInbound", 15006, {
    bindToPort: true,
    direction: "inbound",
    inspectors: INSPECT_ALL,
    chains,
  });
}
