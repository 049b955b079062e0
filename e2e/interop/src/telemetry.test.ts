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

  it.each(["envoy", "own"] as const)("%s logs what a filter lets through", async (flavor) => {
    const filter = `filter: { expression: "request.headers['x-log'] == 'yes' && response.code < 500" }`;
    await mesh.plane.apply(telemetry(`accessLogging: [{ providers: [{ name: file }], ${filter} }]`));
    expect(await mesh.plane.refusals()).toEqual([]);
    await ask(flavor, `/quiet-${flavor}`, { "x-log": "no" });
    await ask(flavor, `/loud-${flavor}`, { "x-log": "yes" });
    await eventually("the request is logged", async () => log().includes(`/loud-${flavor}`));
    expect(log()).not.toContain(`/quiet-${flavor}`);
  });

  it.each([
    ["envoy", "zipkin", "/api/v2/spans"],
    ["envoy", "otel", "/v1/traces"],
    ["own", "zipkin", "/api/v2/spans"],
    ["own", "otel", "/v1/traces"],
  ] as const)("a span of %s arrives at a collector: %s", async (flavor, provider, path) => {
    const tags = "customTags: { team: { literal: { value: lateen-team } } }";
    await mesh.plane.apply(
      telemetry(`tracing: [{ providers: [{ name: ${provider} }], randomSamplingPercentage: 100, ${tags} }]`),
    );
    expect(await mesh.plane.refusals()).toEqual([]);
    const target = `/traced-${provider}-${flavor}`;
    await ask(flavor, target);
    await eventually("the span is there", async () => {
      const found = reports.find((report) => report.path === path && report.body.includes(target));
      expect(found?.body ?? "").toContain("lateen-team");
      expect(found?.body ?? "").toContain("istio.canonical_service");
      return true;
    });
  });

  describe("spans of both proxies are alike", () => {
    const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT = "00f067aa0ba902b7";
    /** What a span says apart from ids of its own, times and the proxy's name. */
    async function span(flavor: "envoy" | "own", path: string, headers: Record<string, string>) {
      await ask(flavor, path, headers);
      return eventually("the span is there", async () => {
        for (const { body } of reports.filter(
          (report) => report.path === "/api/v2/spans" && report.body.includes(path),
        )) {
          const found = (JSON.parse(body) as ZipkinSpan[]).find(({ tags }) => tags["http.url"]?.includes(path));
          if (found === undefined) continue;
          const { traceId, parentId, kind, name, shared, tags } = found;
          const { node_id: _, "guid:x-request-id": id = "", "http.url": url, "peer.address": __, ...rest } = tags;
          const own = { request_size: "", response_size: "" };
          return {
            ...{ parentId, kind, name, shared: shared ?? false, reason: id[14], url: url?.replace(path, "") },
            trace: traceId === TRACE ? "theirs" : `${traceId.length} digits`,
            tags: { ...rest, ...own },
          };
        }
        return undefined;
      });
    }

    it.each<[string, Record<string, string>]>([
      ["without a parent", {}],
      ["below a parent of many headers", { "x-b3-traceid": TRACE, "x-b3-spanid": PARENT, "x-b3-sampled": "1" }],
      ["below a parent of one header", { b3: `${TRACE}-${PARENT}-1` }],
      ["at the client's wish", { "x-client-trace-id": "mine" }],
    ])("%s", async (title, headers) => {
      const spec = `providers: [{ name: zipkin }], randomSamplingPercentage: 100, customTags: { u: { header: { name: user-agent, defaultValue: x } } }`;
      await mesh.plane.apply(telemetry(`tracing: [{ ${spec} }]`));
      expect(await mesh.plane.refusals()).toEqual([]);
      const path = `/alike-${title.replaceAll(/[^a-z]/g, "-")}`;
      const envoy = await span("envoy", `${path}-1`, headers);
      expect(await span("own", `${path}-2`, headers)).toEqual(envoy);
    });
  });
});

interface ZipkinSpan {
  readonly traceId: string;
  readonly parentId?: string;
  readonly kind: string;
  readonly name: string;
  readonly shared?: boolean;
  readonly tags: Readonly<Record<string, string>>;
}
