import { customResourceDefinitions } from "../crd/crds.ts";
import { INSTALL_LABELS, type InjectionSelection, type KubernetesObject, NAMESPACE } from "./objects.ts";

/** Names that the components look for, to put in what their certificates are verified with. */
export const INJECTION_WEBHOOK = "istio-sidecar-injector";
export const VALIDATION_WEBHOOK = "istio-validator-istio-system";
const INJECTION_SUFFIX = "sidecar-injector.istio.io";
const REVISION = "default";
const REVIEWS = ["v1", "v1beta1"];
const HTTPS = 443;

/** By which the API server asks the injector about pods, and galley about rules. Their `caBundle` is put in by those who answer. */
export function webhookObjects(
  selections: readonly InjectionSelection[],
  services: { readonly injection: string; readonly validation: string },
): readonly KubernetesObject[] {
  const labels = { ...INSTALL_LABELS, "istio.io/rev": REVISION };
  const service = (name: string, path: string) => ({ service: { name, namespace: NAMESPACE, path, port: HTTPS } });
  const common = { sideEffects: "None", admissionReviewVersions: REVIEWS, matchPolicy: "Equivalent" };
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: { name: INJECTION_WEBHOOK, labels: { ...labels, app: "sidecar-injector" } },
      webhooks: selections.map(({ name, namespaceSelector, objectSelector }) => ({
        name: `${name}.${INJECTION_SUFFIX}`,
        clientConfig: service(services.injection, "/inject"),
        rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "*" }],
        namespaceSelector,
        objectSelector,
        // A pod that was to have a sidecar and starts without one would be outside the mesh's rules.
        failurePolicy: "Fail",
        reinvocationPolicy: "Never",
        timeoutSeconds: 10,
        ...common,
      })),
    },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: VALIDATION_WEBHOOK, labels: { ...labels, app: "galley" } },
      webhooks: [
        {
          name: "rev.validation.istio.io",
          clientConfig: service(services.validation, "/validate"),
          rules: validatedRules(),
          objectSelector: { matchExpressions: [{ key: "istio.io/rev", operator: "In", values: [REVISION] }] },
          ...validating,
          ...common,
        },
        {
          name: "validation.istio.io",
          clientConfig: service(services.validation, "/validate"),
          rules: validatedRules(),
          objectSelector: { matchExpressions: [{ key: "istio.io/rev", operator: "DoesNotExist" }] },
          ...validating,
          ...common,
        },
      ],
    },
  ];
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
