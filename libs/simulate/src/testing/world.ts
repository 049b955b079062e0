import { decodeText, defaultMeshConfig, type MeshConfig, type Resource } from "@lateen/mesh-model";
import { parseCall, simulateCall } from "../call.ts";
import { SimulatedMesh } from "../mesh.ts";
import { asRunning } from "../offline-world.ts";
import { verdictLine } from "../text.ts";

/** Objects of a YAML text; a refused one fails the test with its reasons. */
export function objectsOf(text: string): readonly Resource[] {
  return decodeText({ file: "test.yaml", text }).map((document) => {
    if (document.ok) return document.object;
    throw new Error(
      `${document.kind} ${document.name}: ${document.diagnostics.map(({ message }) => message).join("; ")}`,
    );
  });
}

export function meshOf(text: string, meshConfig: Partial<MeshConfig> = {}): SimulatedMesh {
  return new SimulatedMesh({
    objects: asRunning(objectsOf(text)),
    meshConfig: defaultMeshConfig(meshConfig),
    clusterId: "test",
  });
}

/** A call by its text, traced. */
export function traceOf(
  mesh: SimulatedMesh,
  from: string,
  request: string,
  headers: readonly [string, string][] = [],
  claims?: Readonly<Record<string, unknown>>,
) {
  const caller = mesh.find(from);
  const call = parseCall(request, headers);
  if (caller === undefined || !call.ok) throw new Error(`no caller ${from}, or not a call: ${request}`);
  return simulateCall(mesh, caller, { ...call.value, claims });
}

/** As {@link traceOf}, in one line. */
export function verdictOf(...call: Parameters<typeof traceOf>): string {
  return verdictLine(traceOf(...call));
}

/** A Deployment and its Service, as short as it gets. */
export function app(name: string, options: AppOptions = {}): string {
  const { version = "v1", ports = ["http:9080"], namespace = "default", inject = true, service = true } = options;
  const list = ports.map((text) => text.split(":"));
  const annotations = inject ? "{}" : '{ sidecar.istio.io/inject: "false" }';
  return `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}-${version}, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: ${name}, version: ${version} } }
  template:
    metadata: { labels: { app: ${name}, version: ${version} }, annotations: ${annotations} }
    spec:
      serviceAccountName: ${name}
      containers: [{ name: app, ports: [${list.map(([, port]) => `{ containerPort: ${port} }`).join(", ")}] }]
---${
    service
      ? `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  selector: { app: ${name} }
  ports: [${list.map(([portName, port]) => `{ name: ${portName}, port: ${port} }`).join(", ")}]
---`
      : ""
  }`;
}
interface AppOptions {
  readonly version?: string;
  /** `name:port` */
  readonly ports?: readonly string[];
  readonly namespace?: string;
  readonly inject?: boolean;
  readonly service?: boolean;
}
