import { existsSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCESS_LOG, InteropMesh, noEnvoy, pods } from "./harness/mesh.ts";

const skip = noEnvoy();

/** A Telemetry of both client workloads. */
function telemetry(spec: string): string {
  return `---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: client, namespace: default }
spec: { selector: { matchLabels: { app: client } }, ${spec} }
`;
}

interface Report {
  readonly path: string;
  readonly body: string;
}

describe.skipIf(skip !== undefined)(`what proxies tell${skip === undefined ? "" : ` (skipped: ${skip})`}`, () => {
  let mesh: InteropMesh;
  const servers: Server[] = [];
  const reports: Report[] = [];
  beforeAll(async () => {
    mesh = await InteropMesh.start();
    for (const port of [9411, 4318]) {
      const server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => {
          reports.push({ path: request.url ?? "", body: Buffer.concat(chunks).toString("latin1") });
          response.writeHead(202).end();
        });
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(port, pods.collector.address, resolve));
    }
  });
  afterAll(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    await mesh?.stop();
    rmSync(ACCESS_LOG, { force: true });
  });

  /** On a connection of its own: connections that are open keep the listener they came with. */
  const ask = (flavor: "envoy" | "own", path: string, headers: Record<string, string> = {}) => {
    const { agent: _, ...fresh } = flavor === "envoy" ? mesh.throughEnvoy("web", 80) : mesh.throughOwn("web", 80);
    return mesh.ask({ method: "GET", path, headers: { host: "web", ...headers } }, fresh);
  };
  const log = () => (existsSync(ACCESS_LOG) ? readFileSync(ACCESS_LOG, "utf8") : "");

  it.each(["envoy", "own"] as const)("%s logs while a Telemetry asks for it, and only then", async (flavor) => {
    await mesh.plane.apply(telemetry("accessLogging: [{ providers: [{ name: file }] }]"));
    expect(await mesh.plane.refusals()).toEqual([]);
    await ask(flavor, `/on-${flavor}`);
    await eventually("the request is logged", async () => log().includes(`/on-${flavor}`));
    await mesh.plane.apply(telemetry("accessLogging: [{ providers: [{ name: file }] }, { disabled: true }]"));
    await ask(flavor, `/off-${flavor}`);
    await mesh.plane.apply(telemetry("accessLogging: [{ providers: [{ name: file }] }]"));
    await ask(flavor, `/again-${flavor}`);
    await eventually("a later request is logged", async () => log().includes(`/again-${flavor}`));
    expect(log()).not.toContain(`/off-${flavor}`);
  });

  it("Envoy logs what a filter lets through", async () => {
    const filter = `filter: { expression: "request.headers['x-log'] == 'yes' && response.code < 500" }`;
    await mesh.plane.apply(telemetry(`accessLogging: [{ providers: [{ name: file }], ${filter} }]`));
    expect(await mesh.plane.refusals()).toEqual([]);
    await ask("envoy", "/quiet", { "x-log": "no" });
    await ask("envoy", "/loud", { "x-log": "yes" });
    await eventually("the request is logged", async () => log().includes("/loud"));
    expect(log()).not.toContain("/quiet");
  });

  it.each([
    ["zipkin", "/api/v2/spans"],
    ["otel", "/v1/traces"],
  ])("a span of Envoy arrives at a collector: %s", async (provider, path) => {
    const tags = "customTags: { team: { literal: { value: lateen-team } } }";
    await mesh.plane.apply(
      telemetry(`tracing: [{ providers: [{ name: ${provider} }], randomSamplingPercentage: 100, ${tags} }]`),
    );
    expect(await mesh.plane.refusals()).toEqual([]);
    await ask("envoy", `/traced-${provider}`);
    await eventually("the span is there", async () => {
      const found = reports.find((report) => report.path === path && report.body.includes(`/traced-${provider}`));
      expect(found?.body ?? "").toContain("lateen-team");
      expect(found?.body ?? "").toContain("istio.canonical_service");
      return true;
    });
  });
});
