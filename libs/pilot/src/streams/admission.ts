import { nodeFromProto, type XdsNode } from "@lateen/compiler";
import { err, ok, type Result } from "@lateen/kernel";
import type { Caller } from "@lateen/ports";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { grpcStatus, type StreamRefusal } from "@lateen/xds";

/** Characters of what is kept of a node. Kubernetes allows 256 KiB of annotations, which agents send along. */
const MAX_NODE = 320 * 1024;

/**
 * Whether a caller may have the configuration of the node it says it is: the node must live in the caller's namespace and, where it
 * names a service account, run under the caller's. The account of the result is always the verified one.
 */
export function admitNode(caller: Caller | undefined, node: Node): Result<XdsNode, StreamRefusal> {
  if (caller === undefined) return refuse(grpcStatus.unauthenticated, "callers must identify themselves");
  const parsed = nodeFromProto(node);
  if (!parsed.ok) return refuse(grpcStatus.invalidArgument, parsed.error);
  // What is kept of a node lives as long as its stream, and what is compiled for it depends on it.
  if (JSON.stringify(parsed.value).length > MAX_NODE) {
    return refuse(grpcStatus.resourceExhausted, `the node says more of itself than ${MAX_NODE} characters`);
  }
  const { namespace, serviceAccount } = caller;
  if (parsed.value.namespace !== namespace) {
    return refuse(
      grpcStatus.permissionDenied,
      `identity ${namespace}/${serviceAccount} may not act for a node of namespace ${parsed.value.namespace}`,
    );
  }
  if (caller.pod !== undefined && parsed.value.pod !== caller.pod) {
    return refuse(grpcStatus.permissionDenied, `a token of pod ${caller.pod} may not act for pod ${parsed.value.pod}`);
  }
  const claimed = node.metadata?.SERVICE_ACCOUNT;
  if (typeof claimed === "string" && claimed !== "" && claimed !== serviceAccount) {
    return refuse(
      grpcStatus.permissionDenied,
      `identity ${namespace}/${serviceAccount} may not act for service account ${claimed}`,
    );
  }
  return ok({ ...parsed.value, serviceAccount });
}

function refuse(code: number, message: string): Result<never, StreamRefusal> {
  return err({ code, message });
}
