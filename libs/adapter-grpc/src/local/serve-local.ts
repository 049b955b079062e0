import { chmod, rm } from "node:fs/promises";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Logger } from "@lateen/kernel";
import { cannotListen } from "../errors.ts";
import type { GrpcService } from "../server/service.ts";

export interface ServeLocalOptions {
  /** Path of the socket; one that a former process left is replaced. */
  readonly path: string;
  readonly services: readonly GrpcService[];
  readonly logger: Logger;
}

/** A gRPC server on a socket of this machine. */
export interface LocalGrpcServer {
  /** Ends the streams and takes the socket away. */
  close(): Promise<void>;
}

/**
 * Serves gRPC in plaintext on a Unix socket that only its owner may open (0600): who may open it is who may ask.
 * @throws LTN6401 when the socket cannot be bound.
 */
export async function serveLocal({ path, services, logger }: ServeLocalOptions): Promise<LocalGrpcServer> {
  const server = new Server({ "grpc.max_send_message_length": -1, "grpc.enable_channelz": 0 });
  for (const service of services) {
    server.addService(service.definition, service.implementation as UntypedServiceImplementation);
  }
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(cannotListen("unix", path, error)),
    );
  });
  await chmod(path, 0o600);
  logger.info({ event: "grpc.listening", path, services: services.map(({ name }) => name) });
  return {
    async close() {
      for (const service of services) service.drain?.();
      server.forceShutdown();
      await rm(path, { force: true });
    },
  };
}
