import { decodeText } from "../decode/decode.ts";
import type { DecodedObject } from "../decode/types.ts";
import type { Resource } from "../kinds/index.ts";

/** Everything decode says about a text: `level path: message` for each finding, in order. */
export function findingsOf(text: string): readonly string[] {
  return decodeText({ file: "test.yaml", text }).flatMap((document) =>
    (document.ok ? document.warnings : document.diagnostics).map(
      ({ level, path, message }) => `${level} ${path}: ${message}`,
    ),
  );
}

const API_VERSIONS: Readonly<Record<string, string>> = {
  Service: "v1",
  Pod: "v1",
  Secret: "v1",
  ConfigMap: "v1",
  Deployment: "apps/v1",
  StatefulSet: "apps/v1",
  PeerAuthentication: "security.istio.io/v1",
  AuthorizationPolicy: "security.istio.io/v1",
  RequestAuthentication: "security.istio.io/v1",
  EnvoyFilter: "networking.istio.io/v1alpha3",
  WasmPlugin: "extensions.istio.io/v1alpha1",
  ProxyConfig: "networking.istio.io/v1beta1",
  Telemetry: "telemetry.istio.io/v1",
  LocalRuntime: "lateen.dev/v1alpha1",
  KubernetesGateway: "gateway.networking.k8s.io/v1",
  HTTPRoute: "gateway.networking.k8s.io/v1",
  GRPCRoute: "gateway.networking.k8s.io/v1",
  TLSRoute: "gateway.networking.k8s.io/v1",
  TCPRoute: "gateway.networking.k8s.io/v1alpha2",
  BackendTLSPolicy: "gateway.networking.k8s.io/v1",
  Ingress: "networking.k8s.io/v1",
};

/** A document of a kind around the text of its `spec`, named `it` in namespace `default`. */
export function documentOf(kind: string, spec: string): string {
  const indented = spec.trim().startsWith("{")
    ? ` ${spec.trim()}`
    : `\n${spec.replace(/^\n/, "").replace(/^/gm, "  ")}`;
  const apiVersion = API_VERSIONS[kind] ?? "networking.istio.io/v1";
  return `apiVersion: ${apiVersion}\nkind: ${kind === "KubernetesGateway" ? "Gateway" : kind}\nmetadata: {name: it}\nspec:${indented}\n`;
}

/** The objects of a text that must decode without an error. */
export function objectsOf(text: string): readonly Resource[] {
  const documents = decodeText({ file: "test.yaml", text });
  const failed = documents.filter((document) => !document.ok);
  if (failed.length > 0) throw new Error(JSON.stringify(failed, null, 2));
  return documents.map((document) => (document as DecodedObject).object);
}
