import { injectionWebhookOf, validationWebhookOf } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { at, podOf, someParts } from "../testing/installation.ts";
import { manifestOf } from "./manifest.ts";
import { INSTALL_LABELS, identityOf, type KubernetesObject, NAMESPACE } from "./objects.ts";
import { INSTALLED_RESOURCES, RESOURCE_OF_KIND } from "./resources.ts";
import { PROFILES, settingsOf } from "./settings.ts";

const of = (profile: (typeof PROFILES)[number], revision = "default") =>
  manifestOf({ ...settingsOf(profile), revision }, someParts);
const EVERY = PROFILES.flatMap((profile) => [[profile, "default"] as const, [profile, "canary"] as const]);
const named = (objects: readonly KubernetesObject[], kind: string) =>
  objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);

describe("profiles", () => {
  it("minimal is a control plane in one process", () => {
    expect(named(of("minimal"), "Deployment").filter((name) => name !== "istio-sidecar-injector")).toEqual(["istiod"]);
  });

  it("default has the components apart, and an ingress gateway", () => {
    expect(named(of("default"), "Deployment")).toEqual(
      expect.arrayContaining(["istio-citadel", "istio-galley", "istio-pilot", "istio-mixer", "istio-ingressgateway"]),
    );
    expect(named(of("default"), "Deployment")).not.toContain("istio-egressgateway");
  });

  it("demo has an egress gateway as well", () => {
    expect(named(of("demo"), "Deployment")).toEqual(expect.arrayContaining(["istio-pilot", "istio-egressgateway"]));
  });

  it.each(PROFILES)("%s has Istio's names for what proxies connect to", (profile) => {
    expect(named(of(profile), "Service")).toEqual(expect.arrayContaining(["istiod", "istio-mixer"]));
  });
});

describe.each(EVERY)("profile %s, revision %s", (profile, revision) => {
  const objects = of(profile, revision);
  const deployments = objects.filter(({ kind }) => kind === "Deployment");
  const selected = (labels: unknown) =>
    deployments.filter((object) =>
      Object.entries((labels ?? {}) as Record<string, string>).every(
        ([key, value]) => podOf(object).metadata.labels[key] === value,
      ),
    );

  it("has every object once, labelled, and of a kind that uninstalling looks for", () => {
    const identities = objects.map(identityOf);
    expect(new Set(identities).size).toBe(identities.length);
    for (const object of objects) {
      if (object.kind === "CustomResourceDefinition") continue;
      expect(object.metadata.labels, identityOf(object)).toMatchObject(INSTALL_LABELS);
      expect(INSTALLED_RESOURCES).toContain(RESOURCE_OF_KIND[object.kind]);
    }
  });

  it("keeps to its namespace, and names the objects of the cluster so that others have room", () => {
    for (const { kind, metadata } of objects.filter(
      ({ kind: each }) => !["CustomResourceDefinition", "Namespace"].includes(each),
    )) {
      if (metadata.namespace === undefined) expect(`${kind} ${metadata.name}`).toMatch(/lateen-|istio-/);
      else expect(metadata.namespace).toBe(NAMESPACE);
    }
  });

  it("Services, budgets, scaling and policies are of one Deployment each, and every Deployment has them", () => {
    for (const [kind, path] of [
      ["Service", "spec.selector"],
      ["PodDisruptionBudget", "spec.selector.matchLabels"],
      ["NetworkPolicy", "spec.podSelector.matchLabels"],
    ] as const) {
      const targets = objects.filter((object) => object.kind === kind).map((object) => selected(at(object, path)));
      expect(targets.map(({ length }) => length)).toEqual(targets.map(() => 1));
      expect(new Set(targets.flat().map(({ metadata }) => metadata.name)).size, kind).toBe(deployments.length);
    }
    for (const scaler of objects.filter(({ kind }) => kind === "HorizontalPodAutoscaler")) {
      const target = deployments.find(({ metadata }) => metadata.name === at(scaler, "spec.scaleTargetRef.name"));
      // Two would argue about how many there are.
      expect(at(target, "spec.replicas")).toBeUndefined();
    }
  });

  it("every port that is served is named, may be reached, and is the one that probes ask", () => {
    for (const deployment of deployments) {
      const { containers, volumes } = podOf(deployment).spec;
      const ports = containers.flatMap((container) => container.ports.map(({ containerPort }) => containerPort));
      const policy = objects.find(
        ({ kind, metadata }) => kind === "NetworkPolicy" && metadata.name === deployment.metadata.name,
      );
      const open = (at(policy, "spec.ingress") as { ports: { port: number }[] }[]).flatMap((rule) =>
        rule.ports.map(({ port }) => port),
      );
      expect(open.toSorted()).toEqual(ports.toSorted());
      for (const container of containers) {
        for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"])
          expect(ports).toContain(at(container, `${probe}.httpGet.port`) ?? at(container, `${probe}.tcpSocket.port`));
        expect(volumes.map(({ name }) => name)).toEqual(
          expect.arrayContaining(container.volumeMounts.map(({ name }) => name)),
        );
      }
    }
    for (const service of objects.filter(({ kind }) => kind === "Service")) {
      const [target] = selected(at(service, "spec.selector"));
      const ports = podOf(target as KubernetesObject).spec.containers.flatMap((each) =>
        each.ports.map(({ containerPort }) => containerPort),
      );
      for (const { targetPort } of at(service, "spec.ports") as { targetPort: number }[])
        expect(ports).toContain(targetPort);
    }
  });

  it("a component that asks the API server nothing has no token for it", () => {
    for (const deployment of deployments) {
      const account = at(deployment, "spec.template.spec.serviceAccountName");
      const bound = objects.some(
        ({ kind, ...rest }) =>
          kind.endsWith("RoleBinding") &&
          ((rest as { subjects?: { name: string }[] }).subjects ?? []).some(({ name }) => name === account),
      );
      expect(at(deployment, "spec.template.spec.automountServiceAccountToken"), String(account)).toBe(bound);
    }
  });

  it("connections that are allowed out have somebody who listens", () => {
    for (const policy of objects.filter(({ kind }) => kind === "NetworkPolicy")) {
      for (const { to, ports } of at(policy, "spec.egress") as {
        to?: { podSelector: { matchLabels: object } }[];
        ports?: { port: number }[];
      }[]) {
        for (const { podSelector } of to ?? []) {
          const [target] = selected(podSelector.matchLabels);
          const listens = podOf(target as KubernetesObject).spec.containers.flatMap((each) =>
            each.ports.map(({ containerPort }) => containerPort),
          );
          expect(listens).toEqual(expect.arrayContaining((ports ?? []).map(({ port }) => port)));
        }
      }
    }
  });
});

describe.each(EVERY)("webhooks of profile %s, revision %s", (profile, revision) => {
  const objects = of(profile, revision);
  const webhooks = objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration"));

  it("are answered by a Service of the installation, over TLS", () => {
    expect(webhooks.map(({ metadata }) => metadata.name)).toEqual([
      injectionWebhookOf(revision),
      validationWebhookOf(revision),
    ]);
    for (const webhook of webhooks.flatMap((each) => each.webhooks as Record<string, unknown>[])) {
      const { name, namespace, port } = at(webhook, "clientConfig.service") as Record<string, unknown>;
      const service = objects.find(({ kind, metadata }) => kind === "Service" && metadata.name === name);
      expect(service?.metadata.namespace).toBe(namespace);
      // Whatever calls webhooks needs an address of the Service itself.
      expect(at(service, "spec.clusterIP")).toBeUndefined();
      const ports = at(service, "spec.ports") as { port: number; targetPort: number }[];
      expect(ports.find((each) => each.port === port)?.targetPort).toBe(15_017);
      // It is for those who answer to say what they are trusted by.
      expect(at(webhook, "clientConfig.caBundle")).toBeUndefined();
    }
  });

  it("that are away stop pods from starting without a sidecar, and no rule from being changed", () => {
    expect(
      webhooks.map((each) => [
        ...new Set((each.webhooks as { failurePolicy: string }[]).map((webhook) => webhook.failurePolicy)),
      ]),
    ).toEqual([["Fail"], ["Ignore"]]);
  });

  it("ask about every kind that is defined", () => {
    const defined = objects
      .filter(({ kind }) => kind === "CustomResourceDefinition")
      .map(({ metadata }) => metadata.name);
    const [rev] = webhooks[1]!.webhooks as { rules: { apiGroups: string[]; resources: string[] }[] }[];
    const rules = rev?.rules ?? [];
    expect(
      rules.flatMap(({ apiGroups, resources }) => resources.map((each) => `${each}.${apiGroups[0]}`)).toSorted(),
    ).toEqual(defined.toSorted());
  });
});

describe.each(PROFILES)("revision canary of profile %s beside the default one", (profile) => {
  const [plain, canary] = [of(profile), of(profile, "canary")];
  const isShared = ({ metadata }: KubernetesObject) => metadata.labels?.["istio.io/rev"] === undefined;

  it("shares the definitions, the namespace and the priorities, as they are, and nothing else", () => {
    const shared = new Set(["Namespace", "CustomResourceDefinition", "PriorityClass"]);
    expect(canary.filter(isShared)).toEqual(plain.filter(isShared));
    expect(new Set(canary.filter(isShared).map(({ kind }) => kind))).toEqual(shared);
    const taken = new Set(plain.map(identityOf));
    const both = canary.filter((object) => taken.has(identityOf(object)));
    expect(both).toEqual(canary.filter(isShared));
    for (const { metadata } of canary.filter((object) => !isShared(object)))
      expect(metadata.labels?.["istio.io/rev"]).toBe("canary");
  });

  it("has Istio's names", () => {
    expect(named(canary, "Service")).toEqual(expect.arrayContaining(["istiod-canary"]));
    expect(named(canary, "ConfigMap")).toEqual(
      expect.arrayContaining(["istio-canary", "istio-sidecar-injector-canary"]),
    );
    expect(named(canary, "MutatingWebhookConfiguration")).toEqual(["istio-sidecar-injector-canary"]);
    expect(named(canary, "ValidatingWebhookConfiguration")).toEqual(["istio-validator-canary-istio-system"]);
  });

  it("has no gateways: those of the default revision are the addresses that everybody knows", () => {
    expect(named(canary, "Deployment").filter((name) => name.includes("gateway"))).toEqual([]);
  });

  it("selects pods of its own, names accounts of its own, and connects to nobody of the other", () => {
    const text = JSON.stringify(canary.filter((object) => !isShared(object)));
    const hosts = [...text.matchAll(/\b(istio[a-z-]*)\.istio-system\.svc/g)].map(([, name]) => name);
    expect(hosts.length).toBeGreaterThan(0);
    expect(hosts.filter((name) => !name?.endsWith("-canary"))).toEqual([]);
    const apps = [...text.matchAll(/"(?:matchLabels|selector)":\{"app":"([^"]+)"/g)].map(([, name]) => name);
    expect(apps.length).toBeGreaterThan(0);
    expect(apps.filter((name) => !name?.endsWith("-canary"))).toEqual([]);
    const accounts = [...text.matchAll(/"(?:serviceAccountName|secretName)":"([^"]+)"/g)].map(([, name]) => name);
    expect(accounts.filter((name) => !name?.endsWith("-canary"))).toEqual([]);
  });
});

it("settings are where they belong", () => {
  const text = JSON.stringify(
    manifestOf(
      {
        profile: "demo",
        hub: "h.example/x",
        tag: "t1",
        imagePullPolicy: "Always",
        trustDomain: "td.test",
        clusterName: "east",
        revision: "default",
      },
      someParts,
    ),
  );
  expect(text).toContain('"image":"h.example/x/pilot:t1","imagePullPolicy":"Always"');
  expect(text).toContain("--trust-domain=td.test");
  expect(text).toContain("--cluster-id=east");
  expect(text.includes("lateen/pilot")).toBe(false);
  expect(text.includes('"cluster.local"')).toBe(false);
});
