import { readFileSync } from "node:fs";
import { typeUrls } from "@lateen/compiler";
import { type MeshConfig, meshConfigFromConfigMap, type Resource } from "@lateen/mesh-model";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { TypedExtensionConfig } from "@lateen/proto/envoy/config/core/v3/extension";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { golden, goldenCases } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { LATEEN_METADATA, SimulatedMesh } from "./mesh.ts";
import { asRunning } from "./offline-world.ts";
import { resourceJson } from "./testing/resource-json.ts";
import { objectsOf, traceOf } from "./testing/world.ts";
import { verdictLine } from "./text.ts";

const ROOT = new URL("../../compiler/goldens/", import.meta.url).pathname;

/** A call and what must become of it; written by hand, never rewritten. */
interface GoldenCall {
  readonly from: string;
  readonly request: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the token says that it carries. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The verdict in one line. */
  readonly goes: string;
  /** The object of the route that was taken. */
  readonly because?: string;
  /** A part of the caller's trace. */
  readonly client?: object;
  /** A part of the trace of the first server. */
  readonly server?: object;
}

interface GoldenCalls {
  readonly row: string;
  /** The world beside the case's own objects: `shop` unless said otherwise. */
  readonly world?: string;
  /** Mesh configuration as Istio's ConfigMap has it. */
  readonly mesh?: Readonly<Record<string, unknown>>;
  /** Key `meshNetworks` of that ConfigMap. */
  readonly networks?: Readonly<Record<string, unknown>>;
  /** Resources to keep beside the calls, by workload and type. */
  readonly resources?: Readonly<Record<string, Readonly<Partial<Record<keyof typeof TYPES, readonly string[]>>>>>;
  /** The same as an Envoy gets them, where they differ. */
  readonly envoy?: GoldenCalls["resources"];
  /** What some proxy cannot do of the case: code and object of every warning. Default none is looked at. */
  readonly warnings?: readonly string[];
  /** The same in full. */
  readonly told?: readonly string[];
  readonly calls: readonly GoldenCall[];
}

const TYPES = {
  listener: [typeUrls.listener, Listener],
  route: [typeUrls.route, RouteConfiguration],
  cluster: [typeUrls.cluster, Cluster],
  endpoint: [typeUrls.endpoint, ClusterLoadAssignment],
  extension: [typeUrls.extension, TypedExtensionConfig],
} as const;

const cases = goldenCases(ROOT, "calls.yaml").map(({ name, path }) => {
  const calls = parse(readFileSync(path("calls.yaml"), "utf8")) as GoldenCalls;
  const world = readFileSync(`${ROOT}${calls.world ?? "shop"}.yaml`, "utf8");
  return { name, path, calls, objects: objectsOf(`${world}\n---\n${readFileSync(path("input.yaml"), "utf8")}`) };
});

function meshConfigOf({ mesh = {}, networks = {} }: GoldenCalls): MeshConfig {
  const config = meshConfigFromConfigMap({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace: "istio-system", name: "istio" },
    data: { mesh: JSON.stringify(mesh), meshNetworks: JSON.stringify({ networks }) },
  });
  if (!config.ok) throw new Error(config.error.map(({ message }) => message).join("; "));
  return config.value;
}

function meshOf(objects: readonly Resource[], calls: GoldenCalls): SimulatedMesh {
  return new SimulatedMesh({
    objects: asRunning(objects),
    meshConfig: meshConfigOf(calls),
    clusterId: "golden",
  });
}

/** The resources a case keeps, by workload, type and name. */
function kept(mesh: SimulatedMesh, { resources = {}, envoy }: GoldenCalls): string {
  const own = listed(mesh, resources, LATEEN_METADATA);
  const found = envoy === undefined ? own : { ...own, envoy: listed(mesh, envoy, {}) };
  return `${JSON.stringify(found, null, 2)}\n`;
}

function listed(
  mesh: SimulatedMesh,
  resources: NonNullable<GoldenCalls["resources"]>,
  metadata: Readonly<Record<string, unknown>>,
) {
  const found = Object.entries(resources).map(([workload, byType]) => {
    const participant = mesh.find(workload);
    if (participant === undefined) throw new Error(`no workload ${workload}`);
    const types = Object.entries(byType).map(([type, names]) => {
      const [typeUrl, message] = TYPES[type as keyof typeof TYPES];
      const all = mesh.resources(participant, typeUrl, metadata);
      const entries = names.map((name) => {
        const one = all.get(name);
        return [name, one === undefined ? null : resourceJson(message as never, one.any.value)] as const;
      });
      return [type, Object.fromEntries(entries)] as const;
    });
    return [workload, Object.fromEntries(types)] as const;
  });
  return Object.fromEntries(found);
}

describe.each(cases)("$name", ({ path, calls, objects }) => {
  const mesh = meshOf(objects, calls);

  it.each(calls.calls)("$from: $request goes to $goes", ({ from, request, headers = {}, claims, ...expected }) => {
    const trace = traceOf(mesh, from, request, Object.entries(headers), claims);
    expect(verdictLine(trace)).toBe(expected.goes);
    if (expected.because !== undefined) expect(trace.client.route?.object).toBe(expected.because);
    if (expected.client !== undefined) expect(trace.client).toMatchObject(expected.client);
    if (expected.server !== undefined) expect(trace.servers[0]?.trace).toMatchObject(expected.server);
  });

  it("says what some proxy cannot do", () => {
    if (calls.told !== undefined) expect(mesh.warnings().map(({ message }) => message)).toEqual(calls.told);
    if (calls.warnings === undefined) return;
    expect(mesh.warnings().map(({ code, message }) => `${code} ${message.split(":")[0]}`)).toEqual(calls.warnings);
  });

  it("has the resources it had", () => {
    const actual = kept(mesh, calls);
    expect(actual).toBe(golden(path("resources.json"), actual));
  });
});
