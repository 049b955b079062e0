import { type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { type Logger, messageOf, type Result } from "@lateen/kernel";
import type { Caller } from "@lateen/ports";
import {
  type IstioCertificateRequest,
  type IstioCertificateResponse,
  IstioCertificateServiceService,
} from "@lateen/proto/istio/v1/auth/ca";
import { identify, statusError } from "./peer.ts";
import type { Authenticator, GrpcService } from "./service.ts";

/** Why a request was not signed. `code` is a gRPC status name in camel case, e.g. `invalidArgument`. */
export interface SignRefusal {
  readonly code: string;
  readonly message: string;
}

/** Signs a CSR for an identified caller. `validitySeconds` of 0 or less asks for the default. PEM certificates, leaf first. */
export type SignForCaller = (
  caller: Caller,
  csrPem: string,
  validitySeconds: number,
) => Promise<Result<readonly string[], SignRefusal>>;

const CODES: Readonly<Record<string, number>> = {
  invalidArgument: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  permissionDenied: status.PERMISSION_DENIED,
  resourceExhausted: status.RESOURCE_EXHAUSTED,
  failedPrecondition: status.FAILED_PRECONDITION,
  unavailable: status.UNAVAILABLE,
};
/** Characters of a CSR; a P-256 one has about 500. */
const MAX_CSR = 64 * 1024;

/** Istio's certificate service. */
export function certificateService(sign: SignForCaller, authenticator: Authenticator, logger: Logger): GrpcService {
  type Call = ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>;
  type Reply = sendUnaryData<IstioCertificateResponse>;
  const create = async (call: Call, reply: Reply) => {
    const caller = await identify(authenticator, call);
    if (!caller.ok) {
      logger.warn({ event: "ca.refused", peer: call.getPeer(), reason: caller.error });
      return reply(statusError(status.UNAUTHENTICATED, caller.error));
    }
    const { csr, validityDuration } = call.request;
    if (csr.length > MAX_CSR) return reply(statusError(status.INVALID_ARGUMENT, "the certificate request is too long"));
    try {
      const chain = await sign(caller.value, csr, clampSeconds(validityDuration));
      if (chain.ok) reply(null, { certChain: [...chain.value] });
      else reply(statusError(CODES[chain.error.code] ?? status.INTERNAL, chain.error.message));
    } catch (error) {
      logger.error({ event: "ca.failed", reason: messageOf(error) });
      reply(statusError(status.INTERNAL, "signing failed"));
    }
  };
  return {
    name: "istio.v1.auth.IstioCertificateService",
    definition: IstioCertificateServiceService,
    implementation: { createCertificate: (call: Call, reply: Reply) => void create(call, reply) },
  };
}

function clampSeconds(seconds: bigint): number {
  if (seconds <= 0n) return 0;
  return seconds > 0x7fff_ffffn ? 0x7fff_ffff : Number(seconds);
}
