import { execFile } from "node:child_process";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { ProbeTarget } from "./probe-spec.ts";

/** Where the application listens for a port of the workload. */
export type AddressOf = (port: number) => {
  readonly host: string;
  readonly port: number;
  /** Where to ask from; undefined: as the machine chooses. */
  readonly localAddress?: string;
};

type Target<Kind extends ProbeTarget["kind"]> = Extract<ProbeTarget, { readonly kind: Kind }>;

/**
 * Asks the workload once. Resolves when it is well.
 * @throws with what is wrong; when the signal aborts it takes too long.
 */
export async function probeOnce(target: ProbeTarget, addressOf: AddressOf, signal: AbortSignal): Promise<void> {
  switch (target.kind) {
    case "http":
      return await askHttp(target, addressOf, signal);
    case "tcp":
      return await askTcp(target, addressOf, signal);
    case "grpc":
      return await askGrpc(target, addressOf, signal);
    case "exec":
      return await askCommand(target, signal);
  }
}

function placeOf(target: { readonly host?: string | undefined; readonly port: number }, addressOf: AddressOf) {
  return target.host === undefined ? addressOf(target.port) : { host: target.host, port: target.port };
}

/** Kubernetes' rule: any status from 200 to 399. A certificate is not checked. */
function askHttp(target: Target<"http">, addressOf: AddressOf, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = {
      ...placeOf(target, addressOf),
      path: target.path,
      headers: { "user-agent": "lateen-probe/1", ...Object.fromEntries(target.headers) },
      agent: false,
      signal,
    };
    const send = target.https ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    send.on("response", (response) => {
      response.resume();
      const { statusCode = 0 } = response;
      if (statusCode >= 200 && statusCode < 400) resolve();
      else reject(new Error(`status code was not from [200,400), bad code ${statusCode}`));
      send.destroy();
    });
    send.on("error", reject);
    send.end();
  });
}

function askTcp(target: Target<"tcp">, addressOf: AddressOf, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...placeOf(target, addressOf), signal });
    socket.on("connect", () => {
      resolve();
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

function askCommand(target: Target<"exec">, signal: AbortSignal): Promise<void> {
  const [program = "", ...args] = target.command;
  return new Promise((resolve, reject) => {
    execFile(program, args, { signal, maxBuffer: 64 * 1024 }, (error, _stdout, stderr) => {
      if (error === null) return resolve();
      const said = String(stderr).trim().slice(0, 200);
      reject(new Error(said === "" ? error.message.slice(0, 200) : said));
    });
  });
}

/** grpc.health.v1.HealthCheckResponse.ServingStatus SERVING in field 1, after the five bytes of a gRPC frame. */
const SERVING = [0, 0, 0, 0, 2, 0x08, 0x01];

/** gRPC's health protocol, grpc.health.v1.Health/Check. */
function askGrpc(target: Target<"grpc">, addressOf: AddressOf, signal: AbortSignal): Promise<void> {
  const place = addressOf(target.port);
  const { host, port } = place;
  return new Promise((resolve, reject) => {
    const authority = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    const session = connectHttp2(authority, { createConnection: () => connect(place) });
    const fail = (error: Error) => {
      session.destroy();
      reject(error);
    };
    signal.addEventListener("abort", () => fail(new Error("took too long")), { once: true });
    session.on("error", fail);
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", fail);
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      const answer = Buffer.concat(parts);
      session.close();
      if (answer.equals(Buffer.from(SERVING))) resolve();
      else reject(new Error("the health service does not say SERVING"));
    });
    stream.end(healthCheckRequest(target.service));
  });
}

/** HealthCheckRequest with `service` (field 1) in a gRPC frame. */
function healthCheckRequest(service: string): Buffer {
  const name = Buffer.from(service).subarray(0, 127);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}
