import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";

interface Span {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly kind: "CLIENT" | "SERVER";
  readonly localEndpoint: { readonly serviceName: string };
  readonly tags: Readonly<Record<string, string>>;
}

describe("a mesh that is traced", () => {
  const spans: Span[] = [];
  const collector = createServer((request, answer) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      spans.push(...(JSON.parse(text) as Span[]));
      answer.writeHead(202).end();
    });
  });
  let mesh: Mesh;

  beforeAll(async () => {
    await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
    const { port } = collector.address() as AddressInfo;
    mesh = await startMesh({
      "tracing.yaml": `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders:
    - name: zipkin
      zipkin: { service: zipkin.example.com, port: 9411 }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: zipkin, namespace: istio-system }
spec:
  hosts: [zipkin.example.com]
  ports: [{ number: 9411, name: http, protocol: HTTP, targetPort: ${port} }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: mesh, namespace: istio-system }
spec:
  tracing:
  - providers: [{ name: zipkin }]
    randomSamplingPercentage: 100
    customTags: { room: { literal: { value: test } } }
`,
    });
  });
  afterAll(async () => {
    await mesh?.down();
    collector.closeAllConnections();
    collector.close();
  });

  it("tells of a request at both ends of a call, one below the other", async () => {
    const [client, server] = await eventually(
      "spans of the gateway and of the product page",
      async () => {
        await call(mesh.url("/productpage"));
        const server = spans.find(
          (span) => span.kind === "SERVER" && span.localEndpoint.serviceName.startsWith("productpage."),
        );
        const client = spans.find(({ id, kind }) => kind === "CLIENT" && id === server?.parentId);
        return client !== undefined && server !== undefined ? [client, server] : undefined;
      },
      60_000,
    );
    expect(server?.traceId).toBe(client?.traceId);
    expect(server?.tags["guid:x-request-id"]).toBe(client?.tags["guid:x-request-id"]);
    expect(server?.tags).toMatchObject({
      room: "test",
      "http.status_code": "200",
      "istio.canonical_service": "productpage",
      "istio.namespace": "default",
    });
    expect(client?.localEndpoint.serviceName).toContain("istio-ingressgateway");
  });
});
