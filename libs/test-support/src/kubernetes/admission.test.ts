import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestCa } from "../certificates/test-ca.ts";
import { startApiServer, type TestApiServer } from "./api-server.ts";
import type { Json } from "./storage.ts";

interface Review {
  readonly apiVersion: string;
  readonly request: { readonly uid: string; readonly operation: string; readonly object: Json | null };
}

const ca = createTestCa();
const caBundle = Buffer.from(ca.rootPem).toString("base64");
const servers: Server[] = [];
const services = new Map<string, number>();
let api: TestApiServer;

beforeEach(async () => {
  services.clear();
  api = await startApiServer({
    reach: ({ name, namespace, port }) => {
      const found = services.get(`${name}.${namespace}:${port}`);
      return found === undefined ? undefined : { host: "127.0.0.1", port: found };
    },
  });
  api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels: { inject: "yes" } } });
});
afterEach(async () => {
  await api.stop();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A webhook that answers so; `undefined` answers nothing. */
async function serve(
  name: string,
  answer: (review: Review) => Readonly<Record<string, unknown>> | undefined,
): Promise<void> {
  const { certPem, keyPem } = ca.issue({ dns: [`${name}.hooks.svc`] });
  const server = createServer({ cert: certPem, key: keyPem }, async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const review = JSON.parse(text) as Review;
    const answered = answer(review);
    if (answered === undefined) return;
    response.end(JSON.stringify({ response: { uid: review.request.uid, ...answered } }));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  services.set(`${name}.hooks:443`, (server.address() as AddressInfo).port);
}

const webhook = (name: string, more: Json = {}): Json => ({
  name: `${name}.example.com`,
  clientConfig: { caBundle, service: { name, namespace: "hooks", path: "/x" } },
  rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
  admissionReviewVersions: ["v1"],
  ...more,
});
const configure = (kind: "Mutating" | "Validating", ...webhooks: readonly Json[]) =>
  api.apply({
    ...{ apiVersion: "admissionregistration.k8s.io/v1", kind: `${kind}WebhookConfiguration` },
    ...{ metadata: { name: "hooks" }, webhooks },
  });
const pod = (labels: Json = {}, namespace = "shop") => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace, labels } },
  spec: { containers: [] as Json[] },
});
/** A container more, which is named so. */
const adds = (name: string) => ({
  allowed: true,
  patchType: "JSONPatch",
  patch: Buffer.from(JSON.stringify([{ op: "add", path: "/spec/containers/-", value: { name } }])).toString("base64"),
});
const containersOf = (object: Json) =>
  (object.spec as { readonly containers: readonly { readonly name: string }[] }).containers.map(({ name }) => name);

describe("admission webhooks of the test's API server", () => {
  it("change an object before it is written", async () => {
    await serve("one", () => adds("sidecar"));
    configure("Mutating", webhook("one"));
    expect(containersOf(await api.create(pod()))).toEqual(["sidecar"]);
    expect(containersOf(api.get("v1", "Pod", "p", "shop") ?? {})).toEqual(["sidecar"]);
  });

  it("refuse an object, with their own words", async () => {
    await serve("one", () => ({ allowed: false, status: { message: "not today", code: 422, reason: "Invalid" } }));
    configure("Validating", webhook("one"));
    await expect(api.create(pod())).rejects.toMatchObject({
      status: 422,
      message: 'admission webhook "one.example.com" denied the request: not today',
    });
    expect(api.get("v1", "Pod", "p", "shop")).toBeUndefined();
  });

  it.each([
    ["has no endpoints", async () => undefined, {}, 'no endpoints available for service "one"'],
    ["does not answer in time", () => serve("one", () => undefined), {}, "context deadline exceeded"],
    [
      "is not the one that is trusted",
      () => serve("one", () => ({ allowed: true })),
      { caBundle: Buffer.from(createTestCa("other").rootPem).toString("base64") },
      "certificate",
    ],
  ])("are treated by their failure policy when one %s", async (_, prepare, trusted, message) => {
    await prepare();
    const hook = (failurePolicy?: string) =>
      webhook("one", {
        clientConfig: { caBundle, service: { name: "one", namespace: "hooks", path: "/x" }, ...trusted },
        timeoutSeconds: 1,
        ...(failurePolicy === undefined ? {} : { failurePolicy }),
      });
    configure("Mutating", hook());
    await expect(api.create(pod())).rejects.toMatchObject({
      status: 500,
      message: expect.stringMatching(
        new RegExp(
          `^Internal error occurred: failed calling webhook "one.example.com": failed to call webhook: Post "https://one.hooks.svc:443/x\\?timeout=1s": .*${message}`,
        ),
      ),
    });
    configure("Mutating", hook("Ignore"));
    expect(containersOf(await api.create(pod()))).toEqual([]);
  });

  it("are asked for what their selectors and rules name", async () => {
    const asked: string[] = [];
    for (const name of ["namespace", "elsewhere", "object", "other", "update", "any"])
      await serve(name, () => {
        asked.push(name);
        return { allowed: true };
      });
    const rule = { operations: ["UPDATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] };
    configure(
      "Validating",
      webhook("namespace", { namespaceSelector: { matchLabels: { inject: "yes" } } }),
      webhook("elsewhere", {
        namespaceSelector: {
          matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["shop"] }],
        },
      }),
      webhook("object", { objectSelector: { matchExpressions: [{ key: "a", operator: "In", values: ["1"] }] } }),
      webhook("other", { objectSelector: { matchExpressions: [{ key: "a", operator: "DoesNotExist" }] } }),
      webhook("update", { rules: [rule] }),
      webhook("any", { rules: [{ ...rule, operations: ["*"], apiGroups: ["*"], resources: ["*"] }] }),
    );
    await api.create(pod({ a: "1" }));
    expect(asked.sort()).toEqual(["any", "namespace", "object"]);
  });

  it("are asked again where they want that and a later one has changed the object", async () => {
    const seen: string[] = [];
    for (const name of ["first", "second"])
      await serve(name, ({ request }) => {
        seen.push(`${name}: ${containersOf(request.object ?? {}).join()}`);
        return adds(name);
      });
    configure("Mutating", webhook("first", { reinvocationPolicy: "IfNeeded" }), webhook("second"));
    await api.create(pod());
    expect(seen).toEqual(["first: ", "second: first", "first: first,second"]);
  });
});
