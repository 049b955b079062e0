import { DEFAULT_REVISION, injectionWebhookOf, REVISION_LABEL, validationWebhookOf } from "@lateen/mesh-model";
import { customResourceDefinitions } from "../crd/crds.ts";
import { type Fields, INSTALL_LABELS, type InjectionSelection, type KubernetesObject, NAMESPACE } from "./objects.ts";

/** Names that the components of the default revision look for, to put in what their certificates are verified with. */
export const INJECTION_WEBHOOK = injectionWebhookOf(DEFAULT_REVISION);
export const VALIDATION_WEBHOOK = validationWebhookOf(DEFAULT_REVISION);
const INJECTION_SUFFIX = "sidecar-injector.istio.io";
const REVIEWS = ["v1", "v1beta1"];
const HTTPS = 443;

/** By which the API server asks the injector about pods, and galley about rules. Their `caBundle` is put in by those who answer. */
export function webhookObjects(
  selections: readonly InjectionSelection[],
  services: { readonly injection: string; readonly validation: string },
  revision: string,
): readonly KubernetesObject[] {
  const labels = { ...INSTALL_LABELS, [REVISION_LABEL]: revision };
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: { name: injectionWebhookOf(revision), labels: { ...labels, app: "sidecar-injector" } },
      webhooks: injectionWebhooks(selections, services.injection),
    },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: validationWebhookOf(revision), labels: { ...labels, app: "galley" } },
      webhooks: [
        {
          name: "rev.validation.istio.io",
          clientConfig: service(services.validation, "/validate"),
          rules: validatedRules(),
          objectSelector: { matchExpressions: [{ key: REVISION_LABEL, operator: "In", values: [revision] }] },
          ...validating,
          ...common,
        },
        // What is of no revision is asked about once.
        ...(revision === DEFAULT_REVISION
          ? [
              {
                name: "validation.istio.io",
                clientConfig: service(services.validation, "/validate"),
                rules: validatedRules(),
                objectSelector: { matchExpressions: [{ key: REVISION_LABEL, operator: "DoesNotExist" }] },
                ...validating,
                ...common,
              },
            ]
          : []),
      ],
    },
  ];
}

const common = { sideEffects: "None", admissionReviewVersions: REVIEWS, matchPolicy: "Equivalent" };

function service(name: string, path: string) {
  return { service: { name, namespace: NAMESPACE, path, port: HTTPS } };
}

/** The webhooks by which an API server asks the injector behind a Service about the pods that the selectors fit. */
export function injectionWebhooks(selections: readonly InjectionSelection[], injector: string): readonly Fields[] {
  return selections.map(({ name, namespaceSelector, objectSelector }) => ({
    name: `${name}.${INJECTION_SUFFIX}`,
    clientConfig: service(injector, "/inject"),
    rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "*" }],
    namespaceSelector,
    objectSelector,
    // A pod that was to have a sidecar and starts without one would be outside the mesh's rules.
    failurePolicy: "Fail",
    reinvocationPolicy: "Never",
    timeoutSeconds: 10,
    ...common,
  }));
}

/** A bad object that nobody refused here is quarantined by galley all the same; one that is urgent must not wait for a webhook. */
const validating = { failurePolicy: "Ignore", timeoutSeconds: 5 };

function validatedRules() {
  const groups = new Map<string, { versions: Set<string>; resources: string[] }>();
  for (const { spec } of customResourceDefinitions()) {
    const group = groups.get(spec.group) ?? { versions: new Set(), resources: [] };
    groups.set(spec.group, group);
    group.resources.push(spec.names.plural);
    for (const { name } of spec.versions) group.versions.add(name);
  }
  return [...groups].map(([group, { versions, resources }]) => ({
    operations: ["CREATE", "UPDATE"],
    apiGroups: [group],
    apiVersions: [...versions].sort(),
    resources,
    scope: "*",
  }));
}
