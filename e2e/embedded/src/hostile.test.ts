import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostileHeads } from "./harness/hostile-heads.ts";
import { call, exchange } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";

describe("malformed and ambiguous requests", () => {
  let mesh: Mesh;
  const seen: { url: string | undefined; host: string | undefined }[] = [];
  const origin = createServer((request, response) => {
    seen.push({ url: request.url, host: request.headers.host });
    response.end(`host ${request.headers.host}`);
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
    mesh = await startMesh({
      "origin.yaml": `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: origin }
spec:
  hosts: [origin.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${(origin.address() as AddressInfo).port} } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: origin }
spec:
  hosts: [a.example.com]
  gateways: [bookinfo-gateway]
  http:
    - route: [{ destination: { host: origin.example.com, port: { number: 80 } } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: forbidden }
spec:
  hosts: [b.example.com]
  gateways: [bookinfo-gateway]
  http:
    - directResponse: { status: 451 }
`,
    });
    await eventually("the route works", async () =>
      (await call(mesh.url("/"), { headers: { host: "a.example.com" } })).status === 200 ? true : undefined,
    );
  });
  afterAll(async () => {
    await mesh?.down();
    origin.close();
  });

  it(`answers each of ${hostileHeads().length} with 400 or 431 and forwards none`, async () => {
    const before = seen.length;
    const wrong: string[] = [];
    for (const [name, bytes] of hostileHeads()) {
      const answer = await exchange("127.0.0.1", mesh.ingress, bytes, 2_000);
      if (!/^HTTP\/1\.1 (400|431) /.test(answer)) wrong.push(`${name}: ${JSON.stringify(answer.slice(0, 80))}`);
    }
    expect(wrong).toEqual([]);
    expect(seen.length).toBe(before);
    expect((await call(mesh.url("/"), { headers: { host: "a.example.com" } })).status).toBe(200);
  });

  it("judges and forwards an absolute-form request by the authority in it, not by Host", async () => {
    const before = seen.length;
    const ask = (target: string, hostHeader: string) =>
      exchange(
        "127.0.0.1",
        mesh.ingress,
        `GET ${target} HTTP/1.1\r\nHost: ${hostHeader}\r\nConnection: close\r\n\r\n`,
        2_000,
      );
    expect(await ask("http://b.example.com/x", "a.example.com")).toMatch(/^HTTP\/1\.1 451 /);
    expect(seen.length).toBe(before);
    expect(await ask("http://a.example.com/x?y=1", "b.example.com")).toMatch(/^HTTP\/1\.1 200 /);
    expect(seen.at(-1)).toEqual({ url: "/x?y=1", host: "a.example.com" });
  });
});
