import { type ServerReadableStream, type sendUnaryData, status } from "@grpc/grpc-js";
import { type Logger, messageOf } from "@lateen/kernel";
import type { Caller } from "@lateen/ports";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import {
  AccessLogServiceService,
  type StreamAccessLogsMessage,
  type StreamAccessLogsResponse,
} from "@lateen/proto/envoy/service/accesslog/v3/als";
import { identify, statusError } from "./peer.ts";
import type { Authenticator, GrpcService } from "./service.ts";

/** Takes one message; `node` is that of the stream, whichever message carried it. Must be quick and must not throw. */
export type ReceiveAccessLogs = (message: StreamAccessLogsMessage, node: Node | undefined, caller: Caller) => void;

type Call = ServerReadableStream<StreamAccessLogsMessage, StreamAccessLogsResponse>;

/** Envoy's access log service. A proxy may only report as a node of its own namespace. */
export function accessLogService(
  receive: ReceiveAccessLogs,
  authenticator: Authenticator,
  logger: Logger,
): GrpcService {
  const open = new Set<Call>();
  const run = async (call: Call, reply: sendUnaryData<StreamAccessLogsResponse>) => {
    call.on("error", (error) => logger.debug({ event: "als.stream_error", reason: messageOf(error) }));
    const caller = await identify(authenticator, call);
    if (!caller.ok) {
      logger.warn({ event: "als.refused", peer: call.getPeer(), reason: caller.error });
      return reply(statusError(status.UNAUTHENTICATED, caller.error));
    }
    let replied = false;
    const answer: typeof reply = (...args) => {
      if (replied) return;
      replied = true;
      open.delete(call);
      reply(...args);
    };
    open.add(call);
    call.on("close", () => open.delete(call));
    call.on("cancelled", () => open.delete(call));
    let node: Node | undefined;
    call.on("data", (message: StreamAccessLogsMessage) => {
      if (replied) return;
      node ??= message.identifier?.node;
      const namespace = node === undefined ? undefined : nodeNamespace(node.id);
      if (namespace !== undefined && namespace !== caller.value.namespace) {
        return answer(statusError(status.PERMISSION_DENIED, "the node belongs to another namespace than the caller"));
      }
      receive(message, node, caller.value);
    });
    call.on("end", () => answer(null, {}));
  };
  return {
    name: "envoy.service.accesslog.v3.AccessLogService",
    definition: AccessLogServiceService,
    implementation: {
      streamAccessLogs: (call: Call, reply: sendUnaryData<StreamAccessLogsResponse>) => void run(call, reply),
    },
    drain: () => {
      for (const call of [...open]) call.destroy(new Error("the server is shutting down"));
    },
  };
}

/** Namespace in an Istio node id `type~ip~pod.namespace~domain`; undefined for ids of another form. */
function nodeNamespace(id: string): string | undefined {
  const [, , workload, , extra] = id.split("~");
  if (workload === undefined || extra !== undefined) return undefined;
  const dot = workload.lastIndexOf(".");
  return dot < 0 ? undefined : workload.slice(dot + 1);
}
