import { expect, it, onTestFinished } from "vitest";
import { isPermitted } from "./permissions.ts";
import { testCluster } from "./testing/cluster.ts";
import { kubernetesWebhooks } from "./webhooks.ts";

const injector = { kind: "MutatingWebhookConfiguration", name: "istio-sidecar-injector" } as const;
const configuration = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: injector.kind,
  metadata: { name: injector.name },
  webhooks: ["rev.namespace.x", "rev.object.x"].map((name) => ({
    name,
    clientConfig: { service: { name: "istio-sidecar-injector", namespace: "istio-system", path: "/inject" } },
    failurePolicy: "Fail",
  })),
};

async function cluster() {
  const test = await testCluster(onTestFinished);
  test.server.authorize = (request) => isPermitted("sidecar-injector", request);
  return { ...test, webhooks: kubernetesWebhooks(test.api) };
}

it("lets the API server trust a bundle, in every webhook, and keeps the rest", async () => {
  const { server, webhooks } = await cluster();
  server.apply(configuration);
  expect(await webhooks.trust(injector, "PEM")).toBe("written");
  const stored = server.get(configuration.apiVersion, injector.kind, injector.name);
  expect(stored?.webhooks).toEqual(
    configuration.webhooks.map((webhook) => ({
      ...webhook,
      clientConfig: { ...webhook.clientConfig, caBundle: Buffer.from("PEM").toString("base64") },
    })),
  );
  const before = server.requests.length;
  expect(await webhooks.trust(injector, "PEM")).toBe("unchanged");
  expect(server.requests.slice(before).map(({ verb }) => verb)).toEqual(["get"]);
  expect(await webhooks.trust(injector, "OTHER")).toBe("written");
});

it("says when there is no such configuration, and fails when it may not", async () => {
  const { server, webhooks } = await cluster();
  expect(await webhooks.trust(injector, "PEM")).toBe("missing");
  const other = { ...injector, name: "somebody-elses" };
  server.apply({ ...configuration, metadata: { name: other.name } });
  await expect(webhooks.trust(other, "PEM")).rejects.toMatchObject({ detail: { status: 403 } });
});

it("finds the tags of a revision, and may write a tag only by what the tag brings", async () => {
  const { server, webhooks } = await cluster();
  const tagged = (tag: string, revision: string) => ({
    ...configuration,
    metadata: { name: `istio-revision-tag-${tag}`, labels: { "istio.io/rev": revision, "istio.io/tag": tag } },
  });
  const own = { ...configuration, metadata: { ...configuration.metadata, labels: { "istio.io/rev": "canary" } } };
  server.apply(tagged("prod", "canary"), tagged("old", "default"), own);
  const tag = { ...injector, name: "istio-revision-tag-prod" };
  expect(await webhooks.tagsOf("canary")).toEqual([tag]);
  await expect(webhooks.trust(tag, "PEM")).rejects.toMatchObject({ detail: { status: 403 } });
});
