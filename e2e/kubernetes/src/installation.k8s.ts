import { INSTALLED_RESOURCES } from "@lateen/manifests";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asked } from "./harness/audit.ts";
import { type ApiObject, Cluster, type Said } from "./harness/cluster.ts";
import { Node, writeNames } from "./harness/node.ts";
import { Services } from "./harness/services.ts";

const PATIENCE_MS = 400_000;
const ROOT = "istio-system";
/** Every object of an installation has this label. */
const SELECTOR = "install.lateen.dev/managed=true";
/** What of profile demo is run here: everything that speaks to the API server. Gateways and stores have no right to. */
const COMPONENTS = ["istio-citadel", "istio-galley", "istio-pilot", "istio-mixer", "istio-sidecar-injector"];

describe("profile demo on a real API server", { timeout: 1_800_000 }, () => {
  let cluster: Cluster;
  let node: Node;
  let services: Services | undefined;
  const pods = new Map<string, string>();

  beforeAll(async () => {
    cluster = await Cluster.open();
    node = await Node.start(cluster);
  });
  afterAll(async () => {
    services?.close();
    await node?.close();
    cluster?.api.close();
  });

  it("is installed, and a second time changes nothing", async () => {
    const install = () => cluster.lateen("install", "--set", "profile=demo", "-y", "--no-wait");
    expect(await install()).toMatchObject({ code: 0, out: "installed: profile demo\n" });
    const before = await versions(cluster);
    expect(await install()).toMatchObject({ code: 0, err: expect.not.stringContaining("of before removed") });
    expect(await versions(cluster)).toEqual(before);
  });

  it("has definitions that the API server calls structural and serves", async () => {
    const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for (const { metadata, status } of await cluster.list(path)) {
      const { conditions } = status as { readonly conditions: readonly { type: string; status: string }[] };
      const states = Object.fromEntries(conditions.map(({ type, status: state }) => [type, state]));
      expect.soft(states, metadata.name).toEqual({ NamesAccepted: "True", Established: "True" });
    }
  });

  it("runs: each component is ready with the rights of its own account", async () => {
    services = await Services.start(cluster);
    await writeNames(cluster);
    for (const app of COMPONENTS) {
      pods.set(app, await node.run(app));
      await writeNames(cluster);
    }
    const { out } = await cluster.kubectl(["get", "deployments", `--namespace=${ROOT}`, "-o", "json"]);
    const deployments = (JSON.parse(out) as { items: readonly ApiObject[] }).items;
    // The admission of pods refused none: namespace istio-system enforces the standard `restricted`.
    for (const { metadata, status } of deployments)
      expect.soft(status, metadata.name).toMatchObject({ replicas: 1, updatedReplicas: 1 });
    for (const app of COMPONENTS)
      await eventually(
        `${app} is available`,
        async () => {
          const { status } = await cluster.get(`/apis/apps/v1/namespaces/${ROOT}/deployments/${app}`);
          return (status as { readonly availableReplicas?: number }).availableReplicas === 1 ? true : undefined;
        },
        PATIENCE_MS,
      );
  });

  it("is trusted by the API server: a pod of a namespace with the label comes out with a proxy", async () => {
    await trusted(cluster, "mutatingwebhookconfigurations", "istio-sidecar-injector");
    await trusted(cluster, "validatingwebhookconfigurations", "istio-validator-istio-system");
    expect(await cluster.apply(namespace("shop", { "istio-injection": "enabled" }), namespace("plain"))).toMatchObject({
      code: 0,
    });
    for (const each of ["shop", "plain"]) await accountOf(cluster, each);
    expect(await cluster.apply(pod("web", "shop"), pod("web", "plain"))).toMatchObject({ code: 0 });
    expect(await containersOf(cluster, "shop", "web")).toEqual(["istio-init", "istio-proxy", "web"]);
    expect(await containersOf(cluster, "plain", "web")).toEqual(["web"]);
    const injected = await cluster.get("/api/v1/namespaces/shop/pods/web");
    expect(injected.metadata.labels).toMatchObject({ "security.istio.io/tlsMode": "istio" });
  });

  it("refuses a bad annotation and a bad rule with the reason", async () => {
    const bad = pod("bad", "shop", { "sidecar.istio.io/interceptionMode": "SOMETIMES" });
    expect(await cluster.apply(bad)).toMatchObject({
      code: 1,
      err: expect.stringContaining("sidecar.istio.io/interceptionMode"),
    });
    // The definition's schema lets it pass, galley does not.
    const rule = virtualService("bad", { http: [{ match: [{ uri: { regex: "(" } }], route: [to("web")] }] });
    const refused = await refusal(cluster, rule);
    expect(refused.err).toContain('admission webhook "validation.istio.io" denied the request');
    expect(refused.err).toContain("spec.http[0].match[0].uri.regex");
    expect(await cluster.apply(virtualService("good", { http: [{ route: [to("web")] }] }))).toMatchObject({ code: 0 });
  });

  it("makes the root certificate known in every namespace", async () => {
    const roots = await Promise.all(
      ["shop", "plain", ROOT, "default"].map((name) =>
        eventually(
          `the root certificate of ${name}`,
          async () =>
            (
              (await cluster.get(`/api/v1/namespaces/${name}/configmaps/istio-ca-root-cert`)).data as Record<
                string,
                string
              >
            )["root-cert.pem"],
          PATIENCE_MS,
        ),
      ),
    );
    expect(new Set(roots).size).toBe(1);
    expect(roots[0]).toContain("BEGIN CERTIFICATE");
  });

  it("when the injector is down, pods of the mesh are refused and others are not", async () => {
    await node.kill(pods.get("istio-sidecar-injector") ?? "");
    await noEndpoints(cluster, "istio-sidecar-injector");
    expect(await cluster.apply(pod("late", "shop"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("failed calling webhook"),
    });
    expect(await cluster.apply(pod("late", "plain"))).toMatchObject({ code: 0 });
    pods.set("istio-sidecar-injector", await node.run("istio-sidecar-injector"));
    await eventually(
      "pods are injected again",
      async () => ((await cluster.apply(pod("late", "shop"))).code === 0 ? true : undefined),
      PATIENCE_MS,
    );
    expect(await containersOf(cluster, "shop", "late")).toContain("istio-proxy");
  });

  it("when galley is down, rules are taken; another leads when its pod was replaced", async () => {
    const lease = async () =>
      (await cluster.get(`/apis/coordination.k8s.io/v1/namespaces/${ROOT}/leases/galley`)).spec as {
        readonly holderIdentity: string;
        readonly leaseTransitions: number;
      };
    const before = await lease();
    await node.kill(pods.get("istio-galley") ?? "");
    await noEndpoints(cluster, "istio-galley");
    const rule = virtualService("unseen", { http: [{ match: [{ uri: { regex: "(" } }], route: [to("web")] }] });
    expect(await cluster.apply(rule)).toMatchObject({ code: 0 });
    pods.set("istio-galley", await node.run("istio-galley"));
    await writeNames(cluster);
    const after = await eventually(
      "another leads",
      async () => {
        const now = await lease();
        return now.holderIdentity !== before.holderIdentity && now.holderIdentity !== "" ? now : undefined;
      },
      PATIENCE_MS,
    );
    expect(after.leaseTransitions).toBeGreaterThan(before.leaseTransitions);
    expect((await refusal(cluster, virtualService("again", rule.spec))).err).toContain("uri.regex");
  });

  it("has asked for nothing that it may not", () => {
    const refused = asked().filter(({ code }) => code === 403);
    expect([...new Set(refused.map(({ component, verb, path }) => `${component}: ${verb} ${path}`))]).toEqual([]);
  });

  it("is uninstalled: rules stay, and with --purge nothing does", async () => {
    expect(await cluster.lateen("uninstall", "-y")).toMatchObject({ code: 0 });
    await node.clear();
    expect((await labelled(cluster)).filter((name) => !/^(CustomResourceDefinition|Namespace)\//.test(name))).toEqual(
      [],
    );
    expect(await cluster.kubectl(["get", "virtualservice", "good", "--namespace=shop"])).toMatchObject({ code: 0 });
    expect(await cluster.lateen("uninstall", "--purge", "-y")).toMatchObject({ code: 0 });
    expect(await labelled(cluster)).toEqual([]);
    expect((await cluster.kubectl(["get", "namespace", ROOT])).err).toContain("NotFound");
  });

  it.each(["minimal", "default"])("profile %s is installed and uninstalled as well", async (profile) => {
    expect(await cluster.lateen("install", "--set", `profile=${profile}`, "-y", "--no-wait")).toMatchObject({
      code: 0,
    });
    expect(await cluster.lateen("uninstall", "--purge", "-y")).toMatchObject({ code: 0 });
    expect(await labelled(cluster)).toEqual([]);
  });
});

const namespace = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});

const pod = (name: string, namespaceOf: string, annotations: Readonly<Record<string, string>> = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: namespaceOf, labels: { app: name }, annotations },
  spec: { containers: [{ name: "web", image: "registry.example/web:1" }] },
});

const virtualService = (name: string, spec: object) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name, namespace: "shop" },
  spec: { hosts: [name], ...spec },
});

/** Tries until it is refused: while galley starts, rules are taken. Nothing is written. */
function refusal(cluster: Cluster, rule: object): Promise<Said> {
  return eventually(
    "the rule is refused",
    async () => {
      const said = await cluster.kubectl(["apply", "--dry-run=server", "-f", "-"], rule);
      return said.code === 1 ? said : undefined;
    },
    PATIENCE_MS,
  );
}

const to = (host: string) => ({ destination: { host } });

/** Identities and versions of what is installed, without what changes by itself. */
async function versions(cluster: Cluster): Promise<Readonly<Record<string, string>>> {
  const { out } = await cluster.kubectl(["get", QUIET.join(","), "--all-namespaces", "-l", SELECTOR, "-o", "json"]);
  const { items } = JSON.parse(out) as { items: readonly ApiObject[] };
  return Object.fromEntries(
    items.map(({ kind, metadata }) => [`${kind}/${metadata.name}`, metadata.resourceVersion ?? ""]),
  );
}
/** Controllers write the status of the others. */
const QUIET = INSTALLED_RESOURCES.filter(
  (name) =>
    !/^(deployments|horizontalpodautoscalers|poddisruptionbudgets|customresourcedefinitions|namespaces)/.test(name),
);

async function labelled(cluster: Cluster): Promise<readonly string[]> {
  const { out, err } = await cluster.kubectl([
    ...["get", INSTALLED_RESOURCES.join(","), "--all-namespaces", "-l", SELECTOR, "-o", "json"],
  ]);
  if (out === "") throw new Error(err);
  return (JSON.parse(out) as { items: readonly ApiObject[] }).items.map(
    ({ kind, metadata }) => `${kind}/${metadata.name}`,
  );
}

/** Waits until those who answer a webhook have said by whom they are vouched for. */
async function trusted(cluster: Cluster, plural: string, name: string): Promise<void> {
  await eventually(
    `the authority of ${name}`,
    async () => {
      const { webhooks } = await cluster.get(`/apis/admissionregistration.k8s.io/v1/${plural}/${name}`);
      const all = webhooks as readonly { readonly clientConfig: { readonly caBundle?: string } }[];
      return all.every(({ clientConfig }) => clientConfig.caBundle !== undefined) ? true : undefined;
    },
    PATIENCE_MS,
  );
}

/** Pods need the account that a controller makes. */
async function accountOf(cluster: Cluster, name: string): Promise<void> {
  await eventually(
    `the account of ${name}`,
    () => cluster.get(`/api/v1/namespaces/${name}/serviceaccounts/default`),
    PATIENCE_MS,
  );
}

async function containersOf(cluster: Cluster, namespaceOf: string, name: string): Promise<readonly string[]> {
  const { spec } = await cluster.get(`/api/v1/namespaces/${namespaceOf}/pods/${name}`);
  const { containers, initContainers = [] } = spec as Record<string, readonly { readonly name: string }[]>;
  return [...initContainers, ...(containers ?? [])].map((one) => one.name).sort();
}

async function noEndpoints(cluster: Cluster, service: string): Promise<void> {
  const path = `/apis/discovery.k8s.io/v1/namespaces/${ROOT}/endpointslices`;
  await eventually(
    `no endpoint of ${service}`,
    async () => {
      const slices = (await cluster.list(path)).filter(
        ({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === service,
      );
      const ready = slices.flatMap(
        ({ endpoints }) => (endpoints as readonly { readonly conditions: { readonly ready: boolean } }[] | null) ?? [],
      );
      return ready.every(({ conditions }) => !conditions.ready) ? true : undefined;
    },
    PATIENCE_MS,
  );
}
