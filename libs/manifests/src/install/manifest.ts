import { customResourceDefinitions } from "../crd/crds.ts";
import type { Component } from "./component.ts";
import {
  citadel,
  controlPlane,
  DISCOVERY,
  galley,
  injector,
  mixer,
  NAMES,
  type PermissionTable,
  pilot,
} from "./components.ts";
import { configurationObjects } from "./configuration.ts";
import { type ControlPlaneAddresses, gateway } from "./gateways.ts";
import { INSTALL_LABELS, type InjectionSelection, type KubernetesObject, NAMESPACE } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";
import { redis } from "./stores.ts";
import { webhookObjects } from "./webhooks.ts";
import { workloadObjects } from "./workload.ts";

/** What other libraries know of an installation. */
export interface ManifestParts {
  /** Rights of each component at the API server. */
  readonly permissions: PermissionTable;
  /** Which pods the injector is asked about. */
  readonly injection: readonly InjectionSelection[];
}

/** Services of a control plane in one process, and of one in several. */
const TOGETHER: ControlPlaneAddresses = { ca: DISCOVERY, caPort: 15_012, mixer: NAMES.mixer };
const APART: ControlPlaneAddresses = { ca: NAMES.citadel, caPort: 8060, mixer: NAMES.mixer };
const MOST_REPLICAS = 5;

/** Every object of an installation, in an order in which they can be applied. Equal settings give equal objects. */
export function manifestOf(settings: InstallSettings, parts: ManifestParts): readonly KubernetesObject[] {
  const control = settings.profile === "minimal" ? TOGETHER : APART;
  return [
    namespace(),
    ...(customResourceDefinitions() as unknown as readonly KubernetesObject[]),
    priority("lateen-control-plane", 100_000_000, "components that the mesh needs to change"),
    priority("lateen-gateway", 90_000_000, "gateways at the edge of the mesh"),
    ...configurationObjects(settings, control),
    ...webhookObjects(parts.injection, {
      injection: settings.profile === "minimal" ? DISCOVERY : NAMES.injector,
      validation: settings.profile === "minimal" ? DISCOVERY : NAMES.galley,
    }),
    ...componentsOf(settings, parts, control).flatMap((component) => workloadObjects(component, settings)),
  ];
}

/** The Deployments of a profile. */
export function componentsOf(
  settings: InstallSettings,
  { permissions }: ManifestParts,
  control: ControlPlaneAddresses = settings.profile === "minimal" ? TOGETHER : APART,
): readonly Component[] {
  switch (settings.profile) {
    case "minimal":
      return [controlPlane(settings, permissions, 1)];
    case "default":
      return [
        citadel(settings, permissions, 2),
        galley(settings, permissions, 2),
        pilot(settings, permissions, 2, MOST_REPLICAS),
        mixer(settings, permissions, 2, { most: MOST_REPLICAS }),
        injector(settings, permissions, 2),
        gateway("ingress", settings, control, 2, MOST_REPLICAS),
      ];
    case "demo":
      return [
        citadel(settings, permissions, 1),
        galley(settings, permissions, 1),
        pilot(settings, permissions, 1),
        mixer(settings, permissions, 1, { redis: true }),
        redis(),
        injector(settings, permissions, 1),
        gateway("ingress", settings, control, 1),
        gateway("egress", settings, control, 1),
      ];
  }
}

/** Pods of the control plane and of gateways meet the strictest standard; applications' namespaces are not touched. */
function namespace(): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: NAMESPACE,
      labels: {
        ...INSTALL_LABELS,
        "istio-injection": "disabled",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
      },
    },
  };
}

function priority(name: string, value: number, description: string): KubernetesObject {
  return {
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name, labels: INSTALL_LABELS },
    value,
    globalDefault: false,
    description,
  };
}
