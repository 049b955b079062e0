import {
  type Authenticator,
  accessLogService,
  adsService,
  certificateService,
  type GrpcServer,
  serveGrpc,
} from "@lateen/adapter-grpc";
import { type Clock, err, ok, silentLogger, systemClock } from "@lateen/kernel";
import { createCsr, createRootCa, issueCertificate } from "@lateen/pki";
import type { AdsServer, Caller, CaMaterial } from "@lateen/ports";
import type { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import type { DeltaDiscoveryRequest } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import type { Any } from "@lateen/proto/google/protobuf/any";
import { createDeltaSession, type EncodedResource, type NackRecord, type ServerStream } from "@lateen/xds";

export const SERVER_NAME = "istiod.istio-system.svc";

/** A control plane on real sockets: a CA, delta ADS from plain maps, an access-log service. Tokens are `namespace/account`. */
export class TestControlPlane {
  readonly ca: CaMaterial;
  readonly nacks: NackRecord[] = [];
  readonly callers: (Caller | undefined)[] = [];
  readonly logs: StreamAccessLogsMessage[] = [];
  /** Certificates that were asked for. */
  signed = 0;
  /** What the next signings answer instead. */
  signFailure: string | undefined;
  readonly #resources = new Map<string, Map<string, EncodedResource>>();
  readonly #streams = new Set<ServerStream<DeltaDiscoveryRequest>>();
  readonly #clock: Clock;
  #revision = 1;
  #server: GrpcServer | undefined;

  constructor(clock: Clock, ca?: CaMaterial) {
    this.#clock = clock;
    this.ca = ca ?? createRootCa({ trustDomain: "cluster.local" }, clock);
  }

  get address(): string {
    return `127.0.0.1:${this.#server?.port ?? 0}`;
  }
  get streams(): number {
    return this.#streams.size;
  }

  async start(port = 0): Promise<void> {
    const key = issueServer(this.ca, systemClock());
    const logger = silentLogger;
    this.#server = await serveGrpc({
      host: "127.0.0.1",
      port,
      tls: { ...key, rootPem: this.ca.rootPem },
      logger,
      services: [
        adsService(this.#ads(), authenticator, logger),
        certificateService((caller, csr, seconds) => this.#sign(caller, csr, seconds), authenticator, logger),
        accessLogService((message) => void this.logs.push(message), authenticator, logger),
      ],
    });
  }

  async stop(): Promise<void> {
    await this.#server?.close(0);
  }

  /** Sets what is served; resources are told apart by their bytes. */
  set(entries: readonly { readonly name: string; readonly any: Any }[]): void {
    for (const { name, any } of entries) {
      const version = any.value.toString("base64").slice(-40);
      const all = new Map(this.#resources.get(any.typeUrl));
      all.set(name, { name, version, any });
      this.#resources.set(any.typeUrl, all);
    }
    this.push();
  }
  remove(typeUrl: string, name: string): void {
    const all = new Map(this.#resources.get(typeUrl));
    all.delete(name);
    this.#resources.set(typeUrl, all);
    this.push();
  }
  push(): void {
    this.#revision++;
    for (const stream of this.#streams) stream.push();
  }

  async #sign(caller: Caller, csrPem: string, ttlSeconds: number) {
    this.signed++;
    if (this.signFailure !== undefined) return err({ code: "unavailable", message: this.signFailure });
    const spiffeId = `spiffe://cluster.local/ns/${caller.namespace}/sa/${caller.serviceAccount}`;
    return ok(issueCertificate(this.ca, { csrPem, spiffeId, ttlSeconds }, this.#clock).chain);
  }

  #ads(): AdsServer {
    return {
      openSotw: () => {
        throw new Error("not here");
      },
      openDelta: (caller, transport) => {
        this.callers.push(caller);
        const stream = createDeltaSession({
          transport,
          clock: systemClock(),
          observer: { nacked: (record) => void this.nacks.push(record) },
          admit: () =>
            ok({
              revision: () => this.#revision,
              resources: (typeUrl, names) => {
                const all = this.#resources.get(typeUrl) ?? new Map<string, EncodedResource>();
                return names === undefined ? all : new Map([...all].filter(([name]) => names.has(name)));
              },
            }),
        });
        this.#streams.add(stream);
        return {
          receive: (request) => stream.receive(request),
          drained: () => stream.drained(),
          closed: () => {
            this.#streams.delete(stream);
            stream.closed();
          },
        };
      },
    };
  }
}

const authenticator: Authenticator = {
  async authenticate(uris, bearer) {
    const spiffe = /^spiffe:\/\/cluster\.local\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uris[0] ?? "");
    if (spiffe?.[1] && spiffe[2]) return ok({ namespace: spiffe[1], serviceAccount: spiffe[2], via: "certificate" });
    const [namespace, serviceAccount] = (bearer ?? "").split("/");
    return namespace && serviceAccount ? ok({ namespace, serviceAccount, via: "token" }) : err("no credentials");
  },
};

function issueServer(ca: CaMaterial, clock: Clock): { keyPem: string; certPem: string } {
  const { privateKeyPem, csrPem } = createCsr({ spiffeId: "spiffe://server" });
  const { certPem } = issueCertificate(ca, { csrPem, dnsNames: [SERVER_NAME], ttlSeconds: 3600 }, clock);
  return { keyPem: privateKeyPem, certPem };
}
