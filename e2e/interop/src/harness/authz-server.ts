import http from "node:http";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import {
  AuthorizationService,
  type CheckRequest,
  CheckResponse,
} from "@lateen/proto/envoy/service/auth/v3/external_auth";

export interface AuthzServers {
  readonly grpcPort: number;
  readonly httpPort: number;
  close(): Promise<void>;
}

/**
 * Authorisation services. Header `x-auth` of the request chooses the answer: `allow`, `deny`, `fail` (an error), `slow` (none); what they
 * were told comes back in header `x-told`.
 */
export async function startAuthz(): Promise<AuthzServers> {
  const grpc = new Server();
  grpc.addService(AuthorizationService, { check: answerCheck });
  const grpcPort = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  const plain = http.createServer(answerHttp);
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  return {
    grpcPort,
    httpPort: (plain.address() as AddressInfo).port,
    async close() {
      grpc.forceShutdown();
      plain.closeAllConnections();
      await new Promise((done) => plain.close(done));
    },
  };
}

const option = (key: string, value: string, append?: boolean) => ({ header: { key, value }, append });

function answerCheck(call: ServerUnaryCall<CheckRequest, CheckResponse>, reply: sendUnaryData<CheckResponse>): void {
  const { attributes } = call.request;
  const http = attributes?.request?.http;
  const told = JSON.stringify({
    headers: Object.keys(http?.headers ?? {})
      .filter((name) => !name.startsWith("x-envoy") || name.includes("partial"))
      .sort(),
    method: http?.method,
    path: http?.path,
    host: http?.host,
    scheme: http?.scheme,
    protocol: http?.protocol,
    size: String(http?.size),
    body: http?.body,
    raw: http?.rawBody?.toString("utf8"),
    partial: http?.headers["x-envoy-auth-partial-body"],
    extensions: attributes?.contextExtensions,
    source: attributes?.source?.principal,
    hasTime: attributes?.request?.time !== undefined,
  });
  switch (http?.headers["x-auth"]) {
    case "deny":
      reply(
        null,
        CheckResponse.fromPartial({
          status: { code: 7 },
          httpResponse: {
            $case: "deniedResponse",
            value: {
              status: { code: 401 },
              headers: [option("x-denied", "yes"), option("x-told", told)],
              body: "go away",
            },
          },
        }),
      );
      return;
    case "bare-deny":
      reply(null, CheckResponse.fromPartial({ status: { code: 16 } }));
      return;
    case "fail":
      reply({ code: 13, details: "broken" });
      return;
    case "slow":
      return;
    default:
      reply(
        null,
        CheckResponse.fromPartial({
          status: { code: 0 },
          httpResponse: {
            $case: "okResponse",
            value: {
              headers: [
                option("x-user", "ann"),
                option("x-list", "new", true),
                option("x-absent", "new", true),
                option("x-told", told),
              ],
              headersToRemove: ["x-secret"],
              responseHeadersToAdd: [option("x-by-authz", "yes")],
              queryParametersToSet: [{ key: "q", value: "set" }],
              queryParametersToRemove: ["gone"],
            },
          },
        }),
      );
  }
}

function answerHttp(request: http.IncomingMessage, response: http.ServerResponse): void {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => {
    body += chunk;
  });
  request.on("end", () => {
    const names = Object.keys(request.headers)
      .filter((name) => !name.startsWith("x-envoy") && name !== "x-forwarded-for")
      .sort();
    const told = JSON.stringify({ method: request.method, path: request.url, host: request.headers.host, names, body });
    const headers = { "x-told": told, "x-user": "ann", "x-list": "new", "x-other": "1" };
    const [, want = "allow"] = /[?&]auth=([a-z]+)/.exec(request.url ?? "") ?? [];
    if (want === "slow") return;
    const status = want === "deny" ? 403 : want === "fail" ? 500 : want === "moved" ? 302 : 200;
    response
      .writeHead(status, { ...headers, ...(want === "moved" ? { location: "/login" } : {}) })
      .end(want === "deny" ? "no" : "");
  });
}
