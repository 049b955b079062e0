import { durationToMs } from "@lateen/proto";
import type { GrpcService } from "@lateen/proto/envoy/config/core/v3/grpc_service";
import { join, onlyFields, refuse } from "@lateen/proxy";
import { headerName } from "./decode.ts";
import type { GrpcServiceSpec } from "./grpc-call.ts";

/** Longer answers of a service fail the call. */
const MAX_RESPONSE_BYTES = 1024 * 1024;

/** @param timeoutMs where the message has none. @see envoy.config.core.v3.GrpcService; only `envoy_grpc` */
export function grpcService(service: GrpcService | undefined, timeoutMs: number, at: string): GrpcServiceSpec {
  if (service === undefined) return refuse(at, "required");
  onlyFields(service, at, ["targetSpecifier", "timeout", "initialMetadata"]);
  const target = service.targetSpecifier;
  if (target?.$case !== "envoyGrpc") return refuse(at, "only envoy_grpc is supported by this proxy");
  const where = join(at, "envoy_grpc");
  onlyFields(target.value, where, ["clusterName", "authority", "maxReceiveMessageLength", "skipEnvoyHeaders"]);
  const { clusterName, authority, maxReceiveMessageLength } = target.value;
  const given = service.timeout === undefined ? timeoutMs : durationToMs(service.timeout);
  if (given < 0) refuse(join(at, "timeout"), "must not be negative");
  return {
    cluster: clusterName || refuse(join(where, "cluster_name"), "required"),
    authority: authority || clusterName,
    timeoutMs: given,
    metadata: service.initialMetadata.map(({ key, value }, i) => {
      const name = headerName(key, join(at, `initial_metadata[${i}].key`));
      return [name, value] as const;
    }),
    maxResponseBytes: (maxReceiveMessageLength || MAX_RESPONSE_BYTES) + 5,
  };
}
