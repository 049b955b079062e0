import { labelSelectorMatches } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { type DecisionInput, type DecisionPolicy, decideInjection, namespaceSelected } from "./decision.ts";
import { IGNORED_NAMESPACES, webhookSelections } from "./selectors.ts";

const input: DecisionInput = { namespace: "shop", labels: {}, annotations: {}, hostNetwork: false };
const policy: DecisionPolicy = {
  revision: "default",
  policy: "enabled",
  neverInjectSelector: [],
  alwaysInjectSelector: [],
};
const inject = (value: string) => ({ "sidecar.istio.io/inject": value });
const never = { neverInjectSelector: [{ matchLabels: { app: "db" } }] };
const always = { alwaysInjectSelector: [{ matchExpressions: [{ key: "app", operator: "Exists" as const }] }] };

describe("decideInjection", () => {
  it.each<[string, Partial<DecisionInput>, Partial<DecisionPolicy>, boolean, string]>([
    ["policy enabled", {}, {}, true, "policy"],
    ["policy disabled", {}, { policy: "disabled" }, false, "policy"],
    ["host network, whatever the label", { hostNetwork: true, labels: inject("true") }, {}, false, "host-network"],
    ...IGNORED_NAMESPACES.map(
      (namespace) =>
        [`namespace ${namespace}`, { namespace, labels: inject("true") }, {}, false, "ignored-namespace"] as [
          string,
          Partial<DecisionInput>,
          Partial<DecisionPolicy>,
          boolean,
          string,
        ],
    ),
    ["label false", { labels: inject("false") }, {}, false, "label"],
    ["label true over policy", { labels: inject("true") }, { policy: "disabled" }, true, "label"],
    ["annotation false", { annotations: inject("false") }, {}, false, "annotation"],
    ["annotation true over policy", { annotations: inject("true") }, { policy: "disabled" }, true, "annotation"],
    ["label before annotation", { labels: inject("false"), annotations: inject("true") }, {}, false, "label"],
    ["another value counts as none", { labels: inject("maybe") }, {}, true, "policy"],
    ["another value counts as none, too", { annotations: inject("yes") }, { policy: "disabled" }, false, "policy"],
    ["never", { labels: { app: "db" } }, never, false, "never-inject-selector"],
    ["never does not fit", { labels: { app: "web" } }, never, true, "policy"],
    ["label before never", { labels: { app: "db", ...inject("true") } }, never, true, "label"],
    ["always", { labels: { app: "x" } }, { ...always, policy: "disabled" }, true, "always-inject-selector"],
    ["label before always", { labels: { app: "x", ...inject("false") } }, always, false, "label"],
    ["never before always", { labels: { app: "db" } }, { ...never, ...always }, false, "never-inject-selector"],
    ["an empty selector selects nothing", {}, { neverInjectSelector: [{}] }, true, "policy"],
    ["ambient", { labels: { "istio.io/dataplane-mode": "ambient" } }, {}, false, "ambient"],
    ["has one already", { injected: true, labels: inject("true") }, {}, false, "already-injected"],
    ["namespace says nothing", { namespaceLabels: {} }, {}, false, "namespace"],
    ["namespace enabled", { namespaceLabels: { "istio-injection": "enabled" } }, {}, true, "policy"],
    ["namespace disabled", { namespaceLabels: { "istio-injection": "disabled" } }, {}, false, "namespace"],
  ])("%s", (_title, pod, config, expected, reason) => {
    expect(decideInjection({ ...input, ...pod }, { ...policy, ...config })).toEqual({ inject: expected, reason });
  });
});

describe("namespaceSelected", () => {
  const on = { "istio-injection": "enabled" };
  const off = { "istio-injection": "disabled" };
  const rev = (name: string) => ({ "istio.io/rev": name });
  it.each<[string, Record<string, string>, Record<string, string>, boolean, boolean]>([
    // namespace's labels, pod's labels, whether the default revision injects, whether revision canary does
    ["nothing", {}, {}, false, false],
    ["namespace on", on, {}, true, false],
    ["namespace on, pod off", on, inject("false"), false, false],
    ["namespace off, pod on", off, inject("true"), false, false],
    ["pod on", {}, inject("true"), true, false],
    ["namespace of the revision", rev("canary"), {}, false, true],
    ["namespace of the revision, pod off", rev("canary"), inject("false"), false, false],
    ["pod of the revision", {}, rev("canary"), false, true],
    ["pod of the revision that is on", {}, { ...rev("canary"), ...inject("true") }, false, true],
    ["pod of the revision that is off", {}, { ...rev("canary"), ...inject("false") }, false, false],
    ["injection wins over revision", { ...on, ...rev("canary") }, {}, true, false],
    ["namespace of the default revision", rev("default"), {}, true, false],
  ])("%s", (_title, namespace, labels, byDefault, byCanary) => {
    expect(namespaceSelected("shop", namespace, labels, { revision: "default" })).toBe(byDefault);
    expect(namespaceSelected("shop", namespace, labels, { revision: "canary" })).toBe(byCanary);
  });

  it("injects everywhere but in the cluster's own namespaces, if told so", () => {
    const options = { revision: "default", enableNamespacesByDefault: true };
    expect(namespaceSelected("shop", {}, {}, options)).toBe(true);
    expect(namespaceSelected("kube-system", {}, {}, options)).toBe(false);
    expect(namespaceSelected("shop", off, {}, options)).toBe(false);
    expect(namespaceSelected("shop", {}, inject("false"), options)).toBe(false);
  });

  it("sends a pod to one of two revisions at most", () => {
    const labels = [{}, on, off, rev("a"), rev("b"), rev("default"), { ...on, ...rev("a") }];
    const pods = [{}, inject("true"), inject("false"), rev("a"), { ...rev("b"), ...inject("true") }];
    for (const namespace of labels) {
      for (const pod of pods) {
        const asked = ["default", "a", "b"].filter((revision) =>
          namespaceSelected("shop", namespace, pod, { revision }),
        );
        expect(asked.length, JSON.stringify({ namespace, pod })).toBeLessThanOrEqual(1);
      }
    }
  });
});

describe("webhookSelections", () => {
  it("has four webhooks for the default revision, two for others", () => {
    const names = (revision: string) => webhookSelections({ revision }).map(({ name }) => name);
    expect(names("default")).toEqual(["rev.namespace", "rev.object", "namespace", "object"]);
    expect(names("canary")).toEqual(["rev.namespace", "rev.object"]);
  });

  it.each([
    [{ key: "a", operator: "In" as const, values: ["1"] }, { a: "1" }, true],
    [{ key: "a", operator: "In" as const, values: ["1"] }, {}, false],
    [{ key: "a", operator: "NotIn" as const, values: ["1"] }, {}, true],
    [{ key: "a", operator: "NotIn" as const, values: ["1"] }, { a: "1" }, false],
    [{ key: "a", operator: "Exists" as const }, { a: "" }, true],
    [{ key: "constructor", operator: "DoesNotExist" as const }, {}, true],
  ])("%j on %j: %s", (expression, labels, expected) => {
    expect(labelSelectorMatches({ matchExpressions: [expression] }, labels as Record<string, string>)).toBe(expected);
  });
});
