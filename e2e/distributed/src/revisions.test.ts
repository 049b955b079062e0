import { request as ask } from "node:http";
import { connectAds } from "@lateen/adapter-grpc";
import { Scope } from "@lateen/kernel";
import { identityOf } from "@lateen/manifests";
import { labelSelectorMatches } from "@lateen/mesh-model";
import { DeltaDiscoveryRequest } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { eventually, startApiServer, type TestApiServer } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { configResources, Installed, type Json, PATIENCE_MS, review } from "./harness/installed.ts";

const ROOT = "istio-system";
const CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const REVISIONS = ["default", "canary"] as const;
type Revision = (typeof REVISIONS)[number];

const rule = (name: string, labels: Record<string, string>): Json => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name, namespace: "shop", labels },
  spec: { hosts: [name], http: [{ route: [{ destination: { host: "cart" } }] }] },
});
const namespace = (name: string, labels: Record<string, string>): Json => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});
const service: Json = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "cart", namespace: "shop" },
  spec: { clusterIP: "10.96.0.1", selector: { app: "cart" }, ports: [{ name: "http", port: 80 }] },
};

describe("two revisions of the control plane in one cluster", { timeout: 240_000 }, () => {
  let server: TestApiServer;
  const planes = new Map<Revision, Installed>();
  const ports = new Map<Revision, Readonly<Record<string, number>>>();
  const of = (revision: Revision) => planes.get(revision) as Installed;

  beforeAll(async () => {
    server = await startApiServer({ resources: configResources() });
    server.apply(
      namespace("shop", { "istio-injection": "enabled" }),
      namespace("lab", { "istio.io/rev": "canary" }),
      service,
      rule("for-all", {}),
      ...REVISIONS.map((revision) => rule(`for-${revision}`, { "istio.io/rev": revision })),
    );
    server.reviewed.set("web", { username: "system:serviceaccount:shop:web", audiences: ["istio-ca"] });
    for (const revision of REVISIONS) planes.set(revision, new Installed(server, revision));
    for (const [revision, plane] of planes) ports.set(revision, await plane.start());
  }, 230_000);
  afterAll(async () => {
    for (const plane of planes.values()) await plane.end();
    await server?.stop();
  });

  const root = () =>
    eventually(
      "the root certificate",
      async () =>
        (server.get("v1", "ConfigMap", "istio-ca-root-cert", "shop")?.data as Record<string, string> | undefined)?.[
          "root-cert.pem"
        ],
      PATIENCE_MS,
    );

  it("have one CA, and each keeps the bundle of its own webhooks", async () => {
    const rootPem = await root();
    for (const plane of planes.values()) {
      for (const { kind, metadata } of plane.objects.filter((object) => object.kind.endsWith("WebhookConfiguration"))) {
        const bundle = await eventually(
          `the bundle of ${metadata.name}`,
          async () => bundleOf(server.get("admissionregistration.k8s.io/v1", kind, metadata.name)),
          PATIENCE_MS,
        );
        expect(Buffer.from(bundle, "base64").toString()).toBe(rootPem);
      }
    }
  });

  it("inject each the pods of its own namespaces, into proxies that connect to itself", async () => {
    for (const [where, revision, discovery] of [
      ["shop", "default", "istiod.istio-system.svc:15012"],
      ["lab", "canary", "istiod-canary.istio-system.svc:15012"],
    ] as const) {
      const labels = (server.get("v1", "Namespace", where)?.metadata.labels ?? {}) as Record<string, string>;
      const asked = REVISIONS.filter((each) => selects(of(each), labels));
      expect(asked).toEqual([revision]);
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "web" },
        spec: { containers: [{ name: "app", image: "web" }] },
      };
      const answer = await review(ports.get(revision)?.webhook ?? 0, "/inject", pod);
      const { patch = "" } = (answer as { response: { patch?: string } }).response;
      const text = Buffer.from(patch, "base64").toString();
      expect(text).toContain(discovery);
      expect(text).toContain(`"istio.io/rev":"${revision}"`);
      // CA and access logs are those of the same control plane.
      const hosts = [...text.matchAll(/\b(istio[a-z-]*)\.istio-system\.svc/g)].map(([, name]) => name ?? "");
      expect(hosts.every((name) => name.endsWith("-canary") === (revision === "canary"))).toBe(true);
    }
  });

  it("serve proxies under the names that these look for, and each the rules that are for it", async () => {
    const rootPem = await root();
    for (const [revision, host] of [
      ["default", "istiod.istio-system.svc"],
      ["canary", "istiod-canary.istio-system.svc"],
    ] as const) {
      const names = await clustersFrom(ports.get(revision)?.xds ?? 0, host, rootPem);
      expect(names).toContain("outbound|80||cart.shop.svc.cluster.local");
      expect(await rulesOf(of(revision))).toEqual(["for-all", `for-${revision}`]);
    }
  });

  it("lead each for itself where each decides, and one of them where one must", async () => {
    const held = async (name: string) =>
      eventually(
        `Lease ${name}`,
        async () => {
          const spec = server.get("coordination.k8s.io/v1", "Lease", name, ROOT)?.spec as
            | { readonly holderIdentity?: string }
            | undefined;
          return spec?.holderIdentity || undefined;
        },
        PATIENCE_MS,
      );
    expect(await held("galley")).not.toBe(await held("galley-canary"));
    for (const shared of ["istio-gateway-status-leader", "istio-ca-root-cert"]) {
      await held(shared);
      expect(server.get("coordination.k8s.io/v1", "Lease", `${shared}-canary`, ROOT)).toBeUndefined();
    }
  });

  it("ask the API server for nothing that the role of their revision does not name", () => {
    for (const plane of planes.values()) expect(plane.refused).toEqual([]);
  });

  it("the default one goes, and the other serves, injects and follows changes as before", async () => {
    const canary = of("canary");
    const kept = new Set(canary.objects.map(identityOf));
    await of("default").end();
    for (const object of of("default").applied) {
      if (kept.has(identityOf(object))) continue;
      server.delete(object.apiVersion, object.kind, object.metadata.name, object.metadata.namespace);
    }
    server.apply(rule("for-later", {}));
    await eventually(
      "the new rule",
      async () => ((await rulesOf(canary)).includes("for-later") ? true : undefined),
      PATIENCE_MS,
    );
    const rootPem = await root();
    const names = await clustersFrom(ports.get("canary")?.xds ?? 0, "istiod-canary.istio-system.svc", rootPem);
    expect(names).toContain("outbound|80||cart.shop.svc.cluster.local");
    // It takes over what one of them does: a new namespace gets the root certificate.
    server.apply(namespace("late", {}));
    const late = await eventually(
      "the root certificate of a new namespace",
      async () =>
        server.get("v1", "ConfigMap", "istio-ca-root-cert", "late")?.data as Record<string, string> | undefined,
      PATIENCE_MS,
    );
    expect(late["root-cert.pem"]).toBe(rootPem);
    expect(canary.refused).toEqual([]);
  });
});

function bundleOf(object: unknown): string | undefined {
  const { webhooks = [] } = (object ?? {}) as {
    readonly webhooks?: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
  };
  const bundles = new Set(webhooks.map(({ clientConfig }) => clientConfig.caBundle));
  return bundles.size === 1 ? [...bundles][0] : undefined;
}

/** Whether a pod without labels of a namespace is sent to the injector of a control plane. */
function selects(plane: Installed, labels: Readonly<Record<string, string>>): boolean {
  const { webhooks } = plane.objects.find(({ kind }) => kind === "MutatingWebhookConfiguration") as unknown as {
    readonly webhooks: readonly { readonly namespaceSelector: object; readonly objectSelector: object }[];
  };
  return webhooks.some(
    ({ namespaceSelector, objectSelector }) =>
      labelSelectorMatches(namespaceSelector, labels) && labelSelectorMatches(objectSelector, {}),
  );
}

/** What a proxy of namespace shop is sent; its certificate check wants the name. */
async function clustersFrom(port: number, serverName: string, rootPem: string): Promise<readonly string[]> {
  const scope = new Scope();
  onTestFinished(() => scope.close());
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  const metadata = { NAMESPACE: "shop", CLUSTER_ID: "Kubernetes", ISTIO_VERSION: "1.27.0" };
  const node = { id: "sidecar~10.1.0.7~web.shop~shop.svc.cluster.local", cluster: "web.shop", metadata };
  const connection = connectAds(
    scope,
    { address: `127.0.0.1:${port}`, serverName, identity: () => ({ rootPem, token: "web" }) },
    {
      opened: () => connection.send(DeltaDiscoveryRequest.fromPartial({ node, typeUrl: CLUSTERS })),
      received: ({ resources }) => resolve(resources.map(({ name }) => name)),
      disconnected: () => {},
    },
  );
  const names = await promise;
  await scope.close();
  return names;
}

/** Names of the VirtualServices that its pilot has. */
function rulesOf(plane: Installed): Promise<readonly string[]> {
  const socketPath = plane.file("/var/lib/lateen/control.sock");
  return new Promise((done, fail) => {
    ask({ socketPath, path: "/debug/configz" }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => {
        const objects = JSON.parse(text) as readonly { kind: string; metadata: { name: string } }[];
        done(
          objects
            .filter(({ kind }) => kind === "VirtualService")
            .map(({ metadata }) => metadata.name)
            .sort(),
        );
      });
    })
      .on("error", fail)
      .end();
  });
}
