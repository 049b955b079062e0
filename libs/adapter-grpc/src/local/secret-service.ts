import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Logger } from "@lateen/kernel";
import { packAny, typeUrl } from "@lateen/proto";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import type { DiscoveryRequest, DiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { SecretDiscoveryServiceService } from "@lateen/proto/envoy/service/secret/v3/sds";
import { statusError } from "../server/peer.ts";
import type { GrpcService } from "../server/service.ts";

/** PEM texts of a workload, as every agent of Istio's offers them. */
export interface WorkloadSecrets {
  /** Secret `default`. Leaf first, then intermediates. */
  readonly certChainPem: string;
  readonly privateKeyPem: string;
  /** Secret `ROOTCA`. */
  readonly rootsPem: string;
}

/** The secret service of one machine, and how it learns of new certificates. */
export interface SecretService extends GrpcService {
  /** Sends what changed to every stream. */
  update(secrets: WorkloadSecrets): void;
}

const UNAVAILABLE = 14;
const UNIMPLEMENTED = 12;

/**
 * SDS (envoy.service.secret.v3) of the secrets `default` and `ROOTCA` for the proxy of one workload. A stream that asks before there
 * is a certificate gets it when it comes; names that do not exist are not answered. To be served locally only.
 */
export function secretService(logger: Logger): SecretService {
  const streams = new Set<SecretStream>();
  let secrets: ReadonlyMap<string, Secret> = new Map();
  return {
    name: "envoy.service.secret.v3.SecretDiscoveryService",
    definition: SecretDiscoveryServiceService,
    implementation: {
      streamSecrets: (call: Call) => {
        const stream = new SecretStream(call, () => secrets, logger);
        streams.add(stream);
        const over = () => streams.delete(stream);
        call.on("cancelled", over).on("close", over).on("error", over);
      },
      deltaSecrets: refuse,
      fetchSecrets: (_call: unknown, done: (error: object) => void) =>
        done(statusError(UNIMPLEMENTED, "only streams of the state of the world are served")),
    },
    update(next) {
      secrets = new Map(secretsOf(next).map((secret) => [secret.name, secret]));
      for (const stream of streams) stream.push();
    },
    drain: () => {
      for (const stream of streams) stream.end(UNAVAILABLE, "the agent is shutting down");
    },
  };
}

type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

function refuse(call: { emit(event: "error", error: object): unknown }): void {
  call.emit("error", statusError(UNIMPLEMENTED, "only streams of the state of the world are served"));
}

class SecretStream {
  readonly #call: Call;
  readonly #secrets: () => ReadonlyMap<string, Secret>;
  #names: readonly string[] = [];
  #nonce = 0;
  #sent = "";

  constructor(call: Call, secrets: () => ReadonlyMap<string, Secret>, logger: Logger) {
    this.#call = call;
    this.#secrets = secrets;
    call.on("data", (request: DiscoveryRequest) => {
      if (request.errorDetail !== undefined) {
        logger.warn({ event: "secrets.refused", names: request.resourceNames, reason: request.errorDetail.message });
      }
      // An answer to an earlier response asks for nothing new unless it names other secrets.
      if (this.#sent !== "" && sameNames(request.resourceNames, this.#names)) return;
      this.#names = request.resourceNames;
      this.#sent = "";
      this.push();
    });
    call.on("end", () => call.end());
  }

  push(): void {
    const found = this.#names.flatMap((name) => this.#secrets().get(name) ?? []);
    if (found.length === 0) return;
    const resources = found.map((secret) => packAny(Secret, secret));
    const content = resources.map(({ value }) => Buffer.from(value).toString("base64")).join();
    if (content === this.#sent) return;
    this.#sent = content;
    const nonce = String(++this.#nonce);
    this.#call.write({
      versionInfo: nonce,
      resources,
      canary: false,
      typeUrl: typeUrl(Secret),
      nonce,
      controlPlane: undefined,
    });
  }

  end(code: number, message: string): void {
    this.#call.emit("error", statusError(code, message));
  }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}

function secretsOf({ certChainPem, privateKeyPem, rootsPem }: WorkloadSecrets): readonly Secret[] {
  const inline = (pem: string) => ({ specifier: { $case: "inlineBytes", value: Buffer.from(pem) } as const });
  return [
    Secret.fromPartial({
      name: "default",
      type: {
        $case: "tlsCertificate",
        value: { certificateChain: inline(certChainPem), privateKey: inline(privateKeyPem) },
      },
    }),
    Secret.fromPartial({
      name: "ROOTCA",
      type: { $case: "validationContext", value: { trustedCa: inline(rootsPem) } },
    }),
  ];
}
