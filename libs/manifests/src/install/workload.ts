import { REVISION_LABEL } from "@lateen/mesh-model";
import type { Component, Probe } from "./component.ts";
import { compact, type Fields, INSTALL_LABELS, type KubernetesObject, NAMESPACE } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";

/** User and group of every process; the capture rules let its connections through. */
const MESH_ID = 1337;
/** Time in which everybody hears that an endpoint is going, before it does. */
const DEREGISTER_SECONDS = 5;

/** Deployment, Services, ServiceAccount, roles, disruption budget, scaling and network policy of a component. */
export function workloadObjects(one: Component, settings: InstallSettings): readonly KubernetesObject[] {
  const component = { ...one, labels: { ...one.labels, [REVISION_LABEL]: settings.revision } };
  return [
    ...accountObjects(component),
    ...(component.files === undefined
      ? []
      : [{ apiVersion: "v1", kind: "ConfigMap", metadata: metadata(component), data: component.files }]),
    deployment(component, settings),
    ...component.services.map((service) => serviceObject(component, service)),
    {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: metadata(component),
      // Of a single pod this still lets a node be drained.
      spec: { maxUnavailable: 1, selector: { matchLabels: selector(component) } },
    },
    ...(component.mostReplicas === undefined ? [] : [autoscaler(component, component.mostReplicas)]),
    networkPolicy(component),
  ];
}

function selector({ name }: Component): Readonly<Record<string, string>> {
  return { app: name };
}

function labels(component: Component): Readonly<Record<string, string>> {
  return {
    ...selector(component),
    ...component.labels,
    "app.kubernetes.io/name": component.name,
    ...INSTALL_LABELS,
  };
}

function metadata(component: Component, name = component.name) {
  return { name, namespace: NAMESPACE, labels: labels(component) };
}

function accountObjects(component: Component): readonly KubernetesObject[] {
  const { serviceAccount, permissions } = component;
  const subjects = [{ kind: "ServiceAccount", name: serviceAccount, namespace: NAMESPACE }];
  const rbac = "rbac.authorization.k8s.io";
  const bound = (
    kind: "Role" | "ClusterRole",
    name: string,
    rules: readonly unknown[],
  ): readonly KubernetesObject[] => {
    if (rules.length === 0) return [];
    const meta = kind === "Role" ? metadata(component, name) : { name, labels: labels(component) };
    return [
      { apiVersion: `${rbac}/v1`, kind, metadata: meta, rules },
      {
        apiVersion: `${rbac}/v1`,
        kind: `${kind}Binding`,
        metadata: meta,
        subjects,
        roleRef: { apiGroup: rbac, kind, name },
      },
    ];
  };
  return [
    {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: metadata(component, serviceAccount),
      automountServiceAccountToken: false,
    },
    ...bound("ClusterRole", `lateen-${component.name}`, permissions?.cluster ?? []),
    ...bound("Role", component.name, permissions?.own ?? []),
  ];
}

function deployment(component: Component, settings: InstallSettings): KubernetesObject {
  const { replicas, mostReplicas, serviceAccount, permissions, priorityClass, graceSeconds, sysctls } = component;
  return compact({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metadata(component),
    spec: {
      // Where an autoscaler decides, applying this again must not.
      replicas: mostReplicas === undefined ? replicas : undefined,
      selector: { matchLabels: selector(component) },
      strategy: component.alone
        ? { type: "Recreate" }
        : { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: {
          labels: { ...labels(component), "sidecar.istio.io/inject": "false" },
          annotations: { "prometheus.io/scrape": "true", ...component.podAnnotations },
        },
        spec: {
          serviceAccountName: serviceAccount,
          automountServiceAccountToken: permissions !== undefined,
          priorityClassName: priorityClass,
          terminationGracePeriodSeconds: graceSeconds + DEREGISTER_SECONDS,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: MESH_ID,
            runAsGroup: MESH_ID,
            fsGroup: MESH_ID,
            seccompProfile: { type: "RuntimeDefault" },
            sysctls,
          },
          topologySpreadConstraints: ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map((topologyKey) => ({
            maxSkew: 1,
            topologyKey,
            whenUnsatisfiable: "ScheduleAnyway",
            labelSelector: { matchLabels: selector(component) },
          })),
          containers: [container(component, settings)],
          volumes: [{ name: "tmp", emptyDir: {} }, ...component.volumes.map(({ volume }) => volume)],
        },
      },
    },
  });
}

function container(component: Component, { hub, tag, imagePullPolicy }: InstallSettings): Fields {
  const { app, args, env, ports, probes, resources, volumes } = component;
  const ask = ({ path, port }: Probe) => ({
    ...(path === undefined ? { tcpSocket: { port } } : { httpGet: { path, port } }),
    timeoutSeconds: 3,
  });
  return {
    name: app.endsWith("gateway") ? "istio-proxy" : app,
    image: component.image ?? `${hub}/${app}:${tag}`,
    imagePullPolicy,
    args,
    env,
    ports: ports.map(({ name, port }) => ({ name, containerPort: port, protocol: "TCP" })),
    startupProbe: { ...ask(probes.live), periodSeconds: 2, failureThreshold: 60 },
    livenessProbe: { ...ask(probes.live), periodSeconds: 10, failureThreshold: 3 },
    readinessProbe: { ...ask(probes.ready), periodSeconds: 3, failureThreshold: 3 },
    lifecycle: { preStop: { sleep: { seconds: DEREGISTER_SECONDS } } },
    resources,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      { name: "tmp", mountPath: "/tmp" },
      ...volumes.map(({ volume, path, readOnly }) => ({ name: volume.name, mountPath: path, readOnly })),
    ],
  };
}

function serviceObject(
  component: Component,
  { name, ports, type, headless }: Component["services"][number],
): KubernetesObject {
  const target = new Map(component.ports.map((each) => [each.name, each.port]));
  return compact({
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(component, name),
    spec: {
      type: type ?? "ClusterIP",
      clusterIP: headless === true ? "None" : undefined,
      selector: selector(component),
      ports: ports.map((port) => ({
        name: port.name,
        port: port.port ?? target.get(port.name),
        targetPort: target.get(port.name),
        protocol: "TCP",
        appProtocol: port.appProtocol,
      })),
    },
  });
}

function autoscaler(component: Component, most: number): KubernetesObject {
  const { name, replicas } = component;
  return {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: metadata(component),
    spec: {
      minReplicas: replicas,
      maxReplicas: most,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } },
      ],
      // Every replica that goes makes its proxies connect anew.
      behavior: {
        scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: "Pods", value: 1, periodSeconds: 60 }] },
      },
    },
  };
}

/** DNS is allowed to every component. */
const DNS = {
  ports: [
    { protocol: "UDP", port: 53 },
    { protocol: "TCP", port: 53 },
  ],
};

function networkPolicy(component: Component): KubernetesObject {
  const tcp = (port: number) => ({ protocol: "TCP", port });
  const pods = (app: string) => ({ podSelector: { matchLabels: { app } } });
  return compact({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(component),
    spec: {
      podSelector: { matchLabels: selector(component) },
      policyTypes: ["Ingress", "Egress"],
      ingress: component.ports.map(({ port, from }) => ({ ports: [tcp(port)], from: from?.map(pods) })),
      egress: [
        DNS,
        ...component.outgoing.map(({ ports, to }) => ({
          ports: ports.length === 0 ? undefined : ports.map(tcp),
          to: to === undefined ? undefined : [pods(to)],
        })),
      ],
    },
  });
}
