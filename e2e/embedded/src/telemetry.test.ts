import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";

/** Lines of a metric that `details` reports of its requests. */
async function lines(mesh: Mesh, metric: string): Promise<readonly string[]> {
  const { address } = await mesh.pod("details-v1");
  const { body } = await call(`http://${address}:15090/stats/prometheus`);
  return body.split("\n").filter((line) => line.startsWith(`${metric}{`));
}

const total = (all: readonly string[]): number => all.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);

describe("Telemetry objects change what a living proxy reports", () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
  });
  afterAll(() => mesh?.down());

  const details = () => call(mesh.url("/api/v1/products/0"));
  const telemetry = (spec: string) =>
    mesh.write(
      "telemetry.yaml",
      `apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: { name: details, namespace: default }\nspec: ${spec}\n`,
    );

  it("removes a tag, adds one and disables a metric", async () => {
    await details();
    const before = await eventually("the standard series", async () => {
      const found = await lines(mesh, "istio_requests_total");
      return found.length > 0 ? found : undefined;
    });
    expect(before[0]).toContain('source_app="productpage"');
    await telemetry(`
  selector: { matchLabels: { app: details } }
  metrics:
  - overrides:
    - match: { metric: REQUEST_COUNT, mode: SERVER }
      tagOverrides:
        source_app: { operation: REMOVE }
        verb: { value: "request.method + ' ' + request.url_path.split" }
`);
    const { rejected } = await eventually("what cannot be evaluated is refused", async () => {
      const status = await mesh.status();
      return status.rejected.length > 0 ? status : undefined;
    });
    expect(rejected[0]).toMatchObject({ kind: "Telemetry", name: "details" });
    expect(rejected[0]?.file).toContain("telemetry.yaml");
    expect(rejected[0]?.line).toBeGreaterThan(1);
    await telemetry(`
  selector: { matchLabels: { app: details } }
  metrics:
  - overrides:
    - match: { metric: REQUEST_COUNT, mode: SERVER }
      tagOverrides:
        source_app: { operation: REMOVE }
        verb: { value: "request.method + ' ' + request.headers['x-kind']" }
        port: { value: string(destination.port) }
    - match: { metric: REQUEST_SIZE, mode: SERVER }
      disabled: true
`);
    const changed = await eventually(
      "a series with the new tag",
      async () => {
        await details();
        return (await lines(mesh, "istio_requests_total")).find((line) => line.includes("verb="));
      },
      40_000,
    );
    expect(changed).toContain('verb="unknown"');
    expect(changed).toContain('port="9080"');
    expect(changed).not.toContain("source_app=");
    const sizes = total(await lines(mesh, "istio_request_bytes_count"));
    const durations = total(await lines(mesh, "istio_request_duration_milliseconds_count"));
    await eventually("another request is counted", async () => {
      await details();
      const now = total(await lines(mesh, "istio_request_duration_milliseconds_count"));
      return now > durations ? true : undefined;
    });
    expect(total(await lines(mesh, "istio_request_bytes_count"))).toBe(sizes);
  });
});
