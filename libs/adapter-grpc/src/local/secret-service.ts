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

/** What a secret holds, PEM. */
export type SecretContent =
  | { readonly kind: "certificate"; readonly certChainPem: string; readonly privateKeyPem: string }
  | { readonly kind: "trust"; readonly rootsPem: string };

/**
 * Secrets beside the workload's own two, by name: `undefined` for a name that is not of this source; a promise of `undefined` for one
 * that is, but has no content now.
 */
export type SecretSource = (name: string) => Promise<SecretContent | undefined> | undefined;

/** The secret service of one machine, and how it learns of new certificates. */
export interface SecretService extends GrpcService {
  /** Sends what changed to every stream. */
  update(secrets: WorkloadSecrets): void;
  /** Asks the source anew for every secret that it was asked for before. */
  refresh(): Promise<void>;
}

const UNAVAILABLE = 14;
const UNIMPLEMENTED = 12;

/**
 * SDS (envoy.service.secret.v3) of the secrets `default` and `ROOTCA` for the proxy of one workload, and of those of a source. A stream
 * that asks before there is a certificate gets it when it comes; names that nobody knows are not answered. A secret of the source that
 * has no content is answered with none: an Envoy that waits for it would take no further configuration. To be served locally only.
 */
export function secretService(logger: Logger, source: SecretSource = () => undefined): SecretService {
  const streams = new Set<SecretStream>();
  let own: ReadonlyMap<string, Secret> = new Map();
  const sourced = new Map<string, Secret | undefined>();
  const find: Find = (name) => own.get(name) ?? (sourced.has(name) ? (sourced.get(name) ?? "none") : undefined);
  const load = async (name: string) => {
    const content = source(name);
    if (content === undefined) return;
    const found = await content;
    sourced.set(name, found === undefined ? undefined : secretOf(name, found));
  };
  const push = () => {
    for (const stream of streams) stream.push();
  };
  const want = (names: readonly string[]) => {
    const unknown = names.filter((name) => !(own.has(name) || sourced.has(name)));
    if (unknown.length > 0) void Promise.all(unknown.map(load)).then(push);
  };
  return {
    name: "envoy.service.secret.v3.SecretDiscoveryService",
    definition: SecretDiscoveryServiceService,
    implementation: {
      streamSecrets: (call: Call) => {
        const stream = new SecretStream(call, { find, want }, logger);
        streams.add(stream);
        const over = () => streams.delete(stream);
        call.on("cancelled", over).on("close", over).on("error", over);
      },
      deltaSecrets: refuse,
      fetchSecrets: (_call: unknown, done: (error: object) => void) =>
        done(statusError(UNIMPLEMENTED, "only streams of the state of the world are served")),
    },
    update({ rootsPem, ...pair }) {
      own = new Map([
        ["default", secretOf("default", { kind: "certificate", ...pair })],
        ["ROOTCA", secretOf("ROOTCA", { kind: "trust", rootsPem })],
      ]);
      push();
    },
    async refresh() {
      const asked = new Set([...streams].flatMap(({ names }) => names));
      for (const name of sourced.keys()) if (!asked.has(name)) sourced.delete(name);
      await Promise.all([...sourced.keys()].map(load));
      push();
    },
    drain: () => {
      for (const stream of streams) stream.end(UNAVAILABLE, "the agent is shutting down");
    },
  };
}

/** A secret; `none`: known to have no content; undefined: not known (yet). */
type Find = (name: string) => Secret | "none" | undefined;

type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

function refuse(call: { emit(event: "error", error: object): unknown }): void {
  call.emit("error", statusError(UNIMPLEMENTED, "only streams of the state of the world are served"));
}

class SecretStream {
  readonly #call: Call;
  readonly #find: Find;
  #names: readonly string[] = [];
  #nonce = 0;
  #sent: string | undefined;

  constructor(
    call: Call,
    { find, want }: { readonly find: Find; readonly want: (names: readonly string[]) => void },
    logger: Logger,
  ) {
    this.#call = call;
    this.#find = find;
    call.on("data", (request: DiscoveryRequest) => {
      if (request.errorDetail !== undefined) {
        logger.warn({ event: "secrets.refused", names: request.resourceNames, reason: request.errorDetail.message });
      }
      // An answer to an earlier response asks for nothing new unless it names other secrets.
      if (this.#sent !== undefined && sameNames(request.resourceNames, this.#names)) return;
      this.#names = request.resourceNames;
      this.#sent = undefined;
      want(this.#names);
      this.push();
    });
    call.on("end", () => call.end());
  }

  /** What the stream asks for. */
  get names(): readonly string[] {
    return this.#names;
  }

  push(): void {
    const known = this.#names.flatMap((name) => this.#find(name) ?? []);
    if (known.length === 0) return;
    const found = known.filter((secret) => secret !== "none");
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

function secretOf(name: string, content: SecretContent): Secret {
  const inline = (pem: string) => ({ specifier: { $case: "inlineBytes", value: Buffer.from(pem) } as const });
  if (content.kind === "trust") {
    return Secret.fromPartial({
      name,
      type: { $case: "validationContext", value: { trustedCa: inline(content.rootsPem) } },
    });
  }
  const { certChainPem, privateKeyPem } = content;
  return Secret.fromPartial({
    name,
    type: {
      $case: "tlsCertificate",
      value: { certificateChain: inline(certChainPem), privateKey: inline(privateKeyPem) },
    },
  });
}
