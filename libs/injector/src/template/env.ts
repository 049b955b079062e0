import { type JsonObject, objectOf, objectsOf, textOf } from "../json.ts";
import { ownerUrl } from "../owner.ts";
import type { TemplateContext } from "./context.ts";

/** Variables of the proxy's container. Names are those of Istio's injector, so that either proxy can be started with them. */
export function proxyEnv(context: TemplateContext): readonly JsonObject[] {
  const { config, settings, owner, place, apps, probers, prometheus } = context;
  const { values, mesh } = config;
  const trustDomain = mesh.config.trustDomain;
  const network = place.network ?? values.network;
  return [
    plain("PILOT_CERT_PROVIDER", "istiod"),
    plain("CA_ADDR", values.caAddress),
    field("POD_NAME", "metadata.name"),
    field("POD_NAMESPACE", "metadata.namespace"),
    field("INSTANCE_IP", "status.podIP"),
    field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    field("HOST_IP", "status.hostIP"),
    { name: "ISTIO_CPU_LIMIT", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "0" } } },
    plain("PROXY_CONFIG", proxyConfig(context)),
    plain("ISTIO_META_POD_PORTS", JSON.stringify(podPorts(apps))),
    plain("ISTIO_META_APP_CONTAINERS", apps.map(({ name }) => String(name ?? "")).join(",")),
    plain("ISTIO_META_CLUSTER_ID", place.cluster ?? values.clusterName),
    field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    plain("ISTIO_META_INTERCEPTION_MODE", settings.interception),
    ...(network === "" ? [] : [plain("ISTIO_META_NETWORK", network)]),
    ...(owner.name === ""
      ? []
      : [plain("ISTIO_META_WORKLOAD_NAME", owner.name), plain("ISTIO_META_OWNER", ownerUrl(owner))]),
    plain("ISTIO_META_MESH_ID", values.meshId ?? trustDomain),
    plain("TRUST_DOMAIN", trustDomain),
    ...(settings.bootstrapOverride === undefined
      ? []
      : [plain("ISTIO_BOOTSTRAP_OVERRIDE", "/etc/istio/custom-bootstrap/custom_bootstrap.json")]),
    ...(probers === "" ? [] : [plain("ISTIO_KUBE_APP_PROBERS", probers)]),
    ...(prometheus === "" ? [] : [plain("ISTIO_PROMETHEUS_ANNOTATIONS", prometheus)]),
    ...Object.entries(proxyMetadata(settings.proxyConfig)).map(([name, value]) => plain(name, value)),
  ];
}

/** `proxyMetadata` of the ProxyConfig is given to proxy and init container as variables. */
export function proxyMetadata(written: JsonObject): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(objectOf(written.proxyMetadata))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => [name, String(value)]),
  );
}

export function plain(name: string, value: string): JsonObject {
  return { name, value };
}

function field(name: string, fieldPath: string): JsonObject {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

/** JSON of the ProxyConfig. Where the control plane is, is always in it. */
function proxyConfig({ settings }: TemplateContext): string {
  const { statusPort, discoveryAddress, proxyConfig: written } = settings;
  const isDefaultPort = statusPort === 15_020 && written.statusPort === undefined;
  return JSON.stringify({ ...written, discoveryAddress, ...(isDefaultPort ? {} : { statusPort }) });
}

/** As Kubernetes writes container ports; UDP is never the proxy's. */
function podPorts(apps: readonly JsonObject[]): readonly JsonObject[] {
  return apps.flatMap((app) =>
    objectsOf(app.ports).map(({ name, containerPort, protocol }) => ({
      ...(textOf(name) === undefined ? {} : { name }),
      containerPort,
      ...(textOf(protocol) === undefined ? {} : { protocol }),
    })),
  );
}
