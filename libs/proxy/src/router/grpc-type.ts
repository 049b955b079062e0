import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";

const GRPC = "application/grpc";

/** Whether a head's content is gRPC's: `application/grpc`, alone or with a codec after `+`. gRPC-Web's is another. */
export function isGrpcType(head: Http1Head): boolean {
  const type = head.knownText(K["content-type"]);
  if (type === undefined || !type.startsWith(GRPC)) return false;
  return type.length === GRPC.length || type[GRPC.length] === "+";
}
