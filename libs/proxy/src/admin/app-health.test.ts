import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server as NetServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { appHealthPages, parseAppProbes } from "./app-health.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listening(server: Server | NetServer): Promise<number> {
  server.listen(0, "127.0.0.1");
  closing.push(() => void server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
const web = (listener: RequestListener) => listening(createServer(listener));

/** A gRPC server that answers questions about its health with these bytes. */
async function grpcServer(answers: Readonly<Record<string, readonly number[]>>): Promise<number> {
  const server = createHttp2();
  server.on("stream", (stream) => {
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      const service = Buffer.concat(parts).subarray(7).toString();
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.from(answers[service] ?? []));
    });
  });
  return await listening(server as unknown as NetServer);
}

async function ask(probe: object, path = "/app-health/app/readyz") {
  const probes = parseAppProbes(JSON.stringify({ [path]: probe }));
  if (!probes.ok) throw new Error(probes.error);
  const pages = new Map(appHealthPages(probes.value, "127.0.0.1"));
  const request = { method: "GET", path, query: new URLSearchParams(), local: false, crossSite: false };
  const page = await pages.get(path)?.page(request);
  return { status: page?.status, body: page?.body };
}

describe("probes of the application", () => {
  it("by HTTP: path, headers, and any status from 200 to 399", async () => {
    const seen: unknown[] = [];
    const port = await web((request, response) => {
      seen.push([request.url, request.headers.host, request.headers["x-a"]]);
      response.writeHead(Number(request.url?.slice(1))).end();
    });
    const httpHeaders = [
      { name: "Host", value: "web" },
      { name: "X-A", value: "1" },
    ];
    expect(await ask({ httpGet: { port, path: "/204", httpHeaders } })).toMatchObject({ status: 200 });
    expect(await ask({ httpGet: { port, path: "/404" } })).toEqual({ status: 500, body: "GET /404 answered 404\n" });
    expect(seen[0]).toEqual(["/204", "web", "1"]);
  });

  it("by HTTP never go where a redirect leads", async () => {
    let asked = 0;
    const other = await web((_, response) => {
      asked++;
      response.end();
    });
    const port = await web((_, response) =>
      response.writeHead(302, { location: `http://127.0.0.1:${other}/latest/meta-data` }).end("secret"),
    );
    expect(await ask({ httpGet: { port } })).toEqual({ status: 200, body: "" });
    expect(asked).toBe(0);
  });

  it("by TCP", async () => {
    const port = await web((_, response) => response.end());
    expect(await ask({ tcpSocket: { port } })).toMatchObject({ status: 200 });
    for (const close of closing.splice(0)) close();
    expect(await ask({ tcpSocket: { port } })).toMatchObject({ status: 500 });
  });

  it("by gRPC's health protocol", async () => {
    const serving = [0, 0, 0, 0, 2, 8, 1];
    const port = await grpcServer({ "": serving, good: serving, bad: [0, 0, 0, 0, 2, 8, 2] });
    expect(await ask({ grpc: { port } })).toMatchObject({ status: 200 });
    expect(await ask({ grpc: { port, service: "good" } })).toMatchObject({ status: 200 });
    expect(await ask({ grpc: { port, service: "bad" } })).toMatchObject({ status: 500 });
    expect(await ask({ grpc: { port, service: "unknown" } })).toMatchObject({ status: 500 });
  });

  it("end after their time", async () => {
    const port = await web(() => {});
    expect(await ask({ httpGet: { port }, timeoutSeconds: 0.05 })).toEqual({
      status: 500,
      body: "GET /: no answer within 50 ms\n",
    });
  });

  it("hooks of a container's life", async () => {
    const port = await web((_, response) => response.end());
    expect(await ask({ httpGet: { port } }, "/app-lifecycle/app/prestopz")).toMatchObject({ status: 200 });
  });
});

it.each([
  ["{", "not JSON"],
  ['{"/x": {}}', "no path of a probe"],
  ['{"/app-lifecycle/app/readyz": {}}', "no path of a probe"],
  ['{"/app-health/app/readyz": {"exec": {}}}', "only httpGet, tcpSocket and grpc"],
  ['{"/app-health/app/readyz": {"httpGet": {"port": "http"}}}', "only httpGet, tcpSocket and grpc"],
])("refuses %s", (source, problem) => {
  const probes = parseAppProbes(source);
  expect(probes.ok ? "" : probes.error).toContain(problem);
});
