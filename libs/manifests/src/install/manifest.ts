import { DEFAULT_REVISION } from "@lateen/mesh-model";
import { customResourceDefinitions } from "../crd/crds.ts";
import type { Component } from "./component.ts";
import { citadel, controlPlane, galley, injector, mixer, namesOf, type PermissionTable, pilot } from "./components.ts";
import { configurationObjects } from "./configuration.ts";
import { type ControlPlaneAddresses, gateway } from "./gateways.ts";
import { INSTALL_LABELS, type InjectionSelection, type KubernetesObject, NAMESPACE } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";
import { nats, redis } from "./stores.ts";
import { webhookObjects } from "./webhooks.ts";
import { workloadObjects } from "./workload.ts";

/** What other libraries know of an installation. */
export interface ManifestParts {
  /** Rights of each component at the API server. */
  readonly permissions: PermissionTable;
  /** Which pods the injector is asked about. */
  readonly injection: readonly InjectionSelection[];
}

/** Services of a control plane in one process, or of one in several. */
function addressesOf(settings: InstallSettings): ControlPlaneAddresses {
  const { discovery, citadel: ca, mixer } = namesOf(settings);
  return settings.profile === "minimal" ? { ca: discovery, caPort: 15_012, mixer } : { ca, caPort: 8060, mixer };
}

const MOST_REPLICAS = 5;

/**
 * Every object of an installation, in an order in which they can be applied. Equal settings give equal objects. Those without the label
 * `istio.io/rev` are shared by all revisions.
 */
export function manifestOf(settings: InstallSettings, parts: ManifestParts): readonly KubernetesObject[] {
  const control = addressesOf(settings);
  const names = namesOf(settings);
  return [
    namespace(),
    ...(customResourceDefinitions() as unknown as readonly KubernetesObject[]),
    priority("lateen-control-plane", 100_000_000, "components that the mesh needs to change"),
    priority("lateen-gateway", 90_000_000, "gateways at the edge of the mesh"),
    ...configurationObjects(settings, control),
    ...webhookObjects(
      parts.injection,
      {
        injection: injectionServiceOf(settings),
        validation: settings.profile === "minimal" ? names.discovery : names.galley,
      },
      settings.revision,
    ),
    ...componentsOf(settings, parts, control).flatMap((component) => workloadObjects(component, settings)),
  ];
}

/** The Service of the injector. */
export function injectionServiceOf(settings: Pick<InstallSettings, "profile" | "revision">): string {
  const names = namesOf(settings);
  return settings.profile === "minimal" ? names.discovery : names.injector;
}

/** The Deployments of a profile. Gateways are of the default revision: a second one of each would be a second address for everybody outside. */
export function componentsOf(
  settings: InstallSettings,
  parts: ManifestParts,
  control: ControlPlaneAddresses = addressesOf(settings),
): readonly Component[] {
  const all = profileComponents(settings, parts, control);
  return settings.revision === DEFAULT_REVISION ? all : all.filter(({ app }) => !app.endsWith("-gateway"));
}

function profileComponents(
  settings: InstallSettings,
  { permissions }: ManifestParts,
  control: ControlPlaneAddresses,
): readonly Component[] {
  const names = namesOf(settings);
  switch (settings.profile) {
    case "minimal":
      return [controlPlane(settings, permissions, 1)];
    case "default":
      return [
        citadel(settings, permissions, 2, [names.nats]),
        nats(settings),
        galley(settings, permissions, 2),
        pilot(settings, permissions, 2, MOST_REPLICAS),
        mixer(settings, permissions, 2, { most: MOST_REPLICAS }),
        injector(settings, permissions, 2),
        gateway("ingress", settings, control, 2, MOST_REPLICAS),
      ];
    case "demo":
      return [
        citadel(settings, permissions, 1, [names.nats, names.redis]),
        nats(settings),
        galley(settings, permissions, 1),
        pilot(settings, permissions, 1),
        mixer(settings, permissions, 1, { redis: true }),
        redis(settings),
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
