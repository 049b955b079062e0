import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Result } from "@lateen/kernel";
import type { Caller } from "@lateen/ports";

/** One gRPC service, ready to be served. */
export interface GrpcService {
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** Ends what is open for good reasons only, so that clients go elsewhere; called once when the server closes. */
  readonly drain?: () => void;
}

/** Decides who calls, from the URI names of a verified client certificate and the bearer token. */
export interface Authenticator {
  authenticate(peerCertUriSans: readonly string[], bearer: string | undefined): Promise<Result<Caller, string>>;
}
