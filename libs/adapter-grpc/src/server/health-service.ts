import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { statusError } from "./peer.ts";
import type { GrpcService } from "./service.ts";

const SERVING = 1;
const NOT_SERVING = 2;

/** HealthCheckRequest. */
interface Check {
  readonly service: string;
}

/** A health service and its switch. */
export interface HealthService extends GrpcService {
  /** Whether `""` (the whole server) and the named services count as serving. */
  setServing(serving: boolean): void;
}

/** gRPC health checking (grpc.health.v1.Health), with hand-written codecs for its two messages of one field each. */
export function healthService(serviceNames: readonly string[]): HealthService {
  let serving = false;
  const known = new Set(["", ...serviceNames]);
  const watchers = new Set<ServerWritableStream<Check, number>>();
  const current = () => (serving ? SERVING : NOT_SERVING);
  return {
    name: "grpc.health.v1.Health",
    definition: DEFINITION,
    implementation: {
      check: (call: ServerUnaryCall<Check, number>, reply: sendUnaryData<number>) => {
        if (known.has(call.request.service)) reply(null, current());
        else reply(statusError(status.NOT_FOUND, "unknown service"));
      },
      watch: (call: ServerWritableStream<Check, number>) => {
        const forget = () => watchers.delete(call);
        call.on("cancelled", forget);
        call.on("close", forget);
        call.on("error", forget);
        watchers.add(call);
        call.write(current());
      },
    },
    setServing(value) {
      if (value === serving) return;
      serving = value;
      for (const call of watchers) call.write(current());
    },
    drain: () => {
      serving = false;
      for (const call of [...watchers]) call.end();
    },
  };
}

const codecs = {
  requestSerialize: ({ service }: Check): Buffer => {
    const text = Buffer.from(service).subarray(0, 127);
    return text.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, text.length]), text]);
  },
  /** Field 1, a string; service names are shorter than 128 bytes, anything else is an unknown service. */
  requestDeserialize: (bytes: Buffer): Check => {
    if (bytes.length === 0) return { service: "" };
    const wellFormed = bytes[0] === 0x0a && bytes[1] !== undefined && bytes[1] < 128 && bytes.length === bytes[1] + 2;
    return { service: wellFormed ? bytes.toString("utf8", 2) : "?" };
  },
  responseSerialize: (value: number): Buffer => Buffer.from([0x08, value]),
  responseDeserialize: (bytes: Buffer): number => bytes[1] ?? 0,
};

const DEFINITION: ServiceDefinition = {
  check: { path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false, ...codecs },
  watch: { path: "/grpc.health.v1.Health/Watch", requestStream: false, responseStream: true, ...codecs },
};
