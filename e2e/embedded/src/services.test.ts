import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, freePort } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, sampleRule, startMesh } from "./harness/mesh.ts";

describe("a database over TCP, and a host outside reached through the egress gateway", () => {
  let mesh: Mesh;
  let catalogue: ChildProcess;
  let cataloguePort: number;
  beforeAll(async () => {
    mesh = await startMesh();
    cataloguePort = await freePort();
    catalogue = spawn(process.execPath, [join(mesh.config, "src/catalogue.mjs")], {
      env: { PORT: String(cataloguePort), HOST: "127.0.0.1" },
      stdio: "ignore",
    });
  });
  afterAll(async () => {
    catalogue?.kill();
    await mesh?.down();
  });

  it("reads ratings from the database through both sidecars", async () => {
    await mesh.write("database.yaml", await sampleRule("ratings-database"));
    await mesh.rule("ratings-v2");
    const answer = await eventually(
      "ratings from the database",
      async () => {
        const { body } = await call(mesh.url("/api/v1/products/0/ratings"));
        const { ratings } = JSON.parse(body) as { ratings?: Record<string, number> };
        return ratings?.Reviewer1 === 3 ? ratings : undefined;
      },
      30_000,
    );
    expect(answer).toEqual({ Reviewer1: 3, Reviewer2: 2 });
    const { address } = await mesh.pod("mysqldb-v1");
    await eventually("the connection is counted, with mTLS", async () => {
      const { body } = await call(`http://${address}:15090/stats/prometheus`);
      return body
        .split("\n")
        .some((line) => line.startsWith("istio_tcp_connections_opened_total{") && line.includes('"mutual_tls"'))
        ? true
        : undefined;
    });
  });

  it("refuses unknown hosts under REGISTRY_ONLY and reaches the catalogue only through the egress gateway", async () => {
    await mesh.write("rule.yaml", (await sampleRule("egress")).replace("http: 7070", `http: ${cataloguePort}`));
    await eventually(
      "details from the external catalogue",
      async () => {
        const { status, body } = await call(mesh.url("/api/v1/products/0"));
        return status === 200 && body.includes("an external catalogue") ? true : undefined;
      },
      40_000,
    );
    const { gateways } = await mesh.status();
    expect(gateways.map((one) => one.name)).toContain("istio-egressgateway");
    const { items } = JSON.parse(await readFile(join(mesh.state, "registry/pods.json"), "utf8")) as {
      items: { metadata: { labels?: Record<string, string> }; status: { podIP: string } }[];
    };
    const egress = items.find(({ metadata }) => metadata.labels?.istio === "egressgateway")?.status.podIP;
    await eventually("the egress gateway has counted it", async () => {
      const { body } = await call(`http://${egress}:15090/stats/prometheus`);
      return body
        .split("\n")
        .some((line) => line.startsWith("istio_requests_total{") && line.includes("catalogue.example.com"))
        ? true
        : undefined;
    });
    const stranger = await mesh.lateen(
      ...["run", "--service", "stranger", "--port", "8080", "--", process.execPath, "-e"],
      'require("node:http").get("http://unknown.example.com/", (r) => { console.log("answer " + r.statusCode); r.resume(); })',
    );
    expect(stranger.stdout).toContain("answer 502");
  });
});
