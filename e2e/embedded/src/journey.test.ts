import { stat } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";
import { pidsOf } from "./harness/processes.ts";

describe("one command brings up the whole mesh", () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
  });
  afterAll(() => mesh?.down());

  it("serves the page with details, reviews and ratings", async () => {
    await eventually("a page with stars", async () => {
      const { status, body } = await call(mesh.url("/productpage"));
      expect(status).toBe(200);
      expect(body).toContain("Richard Henry Dana");
      expect(body).toContain("Reviewer1");
      return body.includes("★") ? true : undefined;
    });
  });

  it("answers like a gateway of Istio", async () => {
    const { headers, status, body } = await call(mesh.url("/no-such-path"));
    expect({ status, body, server: headers.server }).toEqual({ status: 404, body: "", server: "istio-envoy" });
    expect((await call(mesh.url("/productpage"))).headers["x-envoy-upstream-service-time"]).toMatch(/^\d+$/);
  });

  it("tells its state as the contract says", async () => {
    const status = await mesh.status();
    expect(status.ready).toBe(true);
    expect(status.rejected).toEqual([]);
    expect(status.workloads.map((one) => one.workload).sort()).toEqual([
      "details-v1",
      "productpage-v1",
      "ratings-v1",
      "reviews-v1",
      "reviews-v2",
      "reviews-v3",
    ]);
    for (const one of status.workloads) {
      expect(one).toMatchObject({ namespace: "default", ready: true });
      expect(one.address).toMatch(/^127\./);
      expect(one.ports[0]).toMatchObject({ container: 9080, sidecar: 9080 });
      expect(one.serviceAccount).toBe(`bookinfo-${one.workload.split("-")[0]}`);
    }
    const ingress = status.gateways.find((one) => one.name === "istio-ingressgateway");
    expect(ingress?.ports).toContainEqual(expect.objectContaining({ port: 8080, listen: mesh.ingress }));
  });

  it("keeps its state private", async () => {
    const mode = async (name: string) => ((await stat(join(mesh.state, name))).mode & 0o777).toString(8);
    expect(await mode(".")).toBe("700");
    expect(await mode("admin.sock")).toBe("600");
    expect(await mode("ca/ca-key.pem")).toBe("600");
    expect(await mode("token-key.pem")).toBe("600");
  });

  it("gives every proxy a certificate with its SPIFFE identity", async () => {
    const { address } = await mesh.pod("reviews-v1");
    const { body } = await call(`http://${address}:15000/certs`);
    expect(body).toContain("spiffe://cluster.local/ns/default/sa/bookinfo-reviews");
  });

  it("counts requests with Istio's labels", async () => {
    await call(mesh.url("/productpage"));
    const { address } = await mesh.pod("details-v1");
    const line = await eventually("a series for details", async () => {
      const { body } = await call(`http://${address}:15090/stats/prometheus`);
      return body
        .split("\n")
        .find((text) => text.startsWith("istio_requests_total{") && text.includes('reporter="destination"'));
    });
    for (const label of [
      'source_workload="productpage-v1"',
      'source_principal="spiffe://cluster.local/ns/default/sa/bookinfo-productpage"',
      'destination_service="details.default.svc.cluster.local"',
      'destination_workload="details-v1"',
      'response_code="200"',
      'connection_security_policy="mutual_tls"',
      'request_protocol="http"',
    ])
      expect(line).toContain(label);
  });

  it("changes and shows configuration by command", async () => {
    const file = join(mesh.folder, "by-command.yaml");
    const { writeFile } = await import("node:fs/promises");
    await writeFile(
      file,
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: hello }\nspec:\n  hosts: [hello.example.com]\n  gateways: [bookinfo-gateway]\n  http:\n    - directResponse: { status: 418, body: { string: short and stout } }\n",
    );
    await mesh.ok("apply", "-f", file, "--wait");
    const answer = await call(mesh.url("/"), { headers: { host: "hello.example.com" } });
    expect(answer).toMatchObject({ status: 418, body: "short and stout" });
    expect(JSON.parse(await mesh.ok("get", "virtualservice", "hello", "-o", "json"))).toMatchObject({
      kind: "VirtualService",
      metadata: { name: "hello", namespace: "default" },
    });
    await mesh.ok("delete", "virtualservice", "hello");
    await eventually("the route is gone", async () =>
      (await call(mesh.url("/"), { headers: { host: "hello.example.com" } })).status !== 418 ? true : undefined,
    );
  });

  it("does not let a command take an object from the file that owns it", async () => {
    const refused = await mesh.lateen("delete", "virtualservice", "bookinfo");
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("gateway.yaml");
  });

  it("shows every proxy synced, and its configuration in istioctl's words", async () => {
    await mesh.synced();
    expect(await mesh.ok("proxy-status")).toMatch(/reviews-v1.*SYNCED/);
    expect(await mesh.ok("proxy-config", "cluster", "productpage-v1")).toContain("reviews.default.svc.cluster.local");
    expect(await mesh.ok("proxy-config", "route", "istio-ingressgateway.istio-system")).toContain("/productpage");
    expect(JSON.parse(await mesh.ok("proxy-config", "listener", "reviews-v1", "-o", "json"))).not.toHaveLength(0);
  });

  it("runs one more process behind a sidecar, and ends as it ends", async () => {
    const inside = await mesh.lateen(
      ...["run", "--service", "visitor", "--port", "8080", "--", process.execPath, "-e"],
      `require("node:http").get("http://details:9080/details/0", (r) => { console.log("answer " + r.statusCode); r.resume(); r.on("end", () => process.exit(7)); })`,
    );
    expect(inside.stdout).toContain("answer 200");
    expect(inside.code).toBe(7);
    await eventually("its pod is gone", async () =>
      (await mesh.status()).workloads.some((one) => one.workload.startsWith("visitor")) ? undefined : true,
    );
  });

  it("leaves nothing running behind", async () => {
    await mesh.ok("down");
    await eventually("all processes gone", async () => (pidsOf(mesh.state).length === 0 ? true : undefined));
  });
});
