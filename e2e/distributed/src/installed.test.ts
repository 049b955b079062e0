import { INJECTION_WEBHOOK, VALIDATION_WEBHOOK } from "@lateen/manifests";
import { eventually, startApiServer } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configResources, Installed, PATIENCE_MS, review } from "./harness/installed.ts";

const ROOT = "istio-system";

describe("profile minimal on a Kubernetes API server", { timeout: 240_000 }, () => {
  let installed: Installed;
  let ports: Readonly<Record<string, number>>;

  beforeAll(async () => {
    installed = new Installed(await startApiServer({ resources: configResources() }));
    ports = await installed.start();
  }, 200_000);
  afterAll(() => installed?.stop());

  it("answers its probes", async () => {
    const { component } = installed;
    const moved: Readonly<Record<number, number | undefined>> = { 15014: ports.metrics, 15080: ports.http };
    for (const { port, path } of Object.values(component?.probes ?? {})) {
      const status = await eventually(
        `GET ${path} of ${port}`,
        async () => {
          const answer = await fetch(`http://127.0.0.1:${moved[port]}${path}`);
          return answer.ok ? answer.status : undefined;
        },
        PATIENCE_MS,
      );
      expect(status).toBe(200);
    }
  });

  it("gives every namespace the root certificate, and both webhooks what they are trusted by", async () => {
    const root = await eventually(
      "the root certificate",
      async () =>
        (
          installed.server.get("v1", "ConfigMap", "istio-ca-root-cert", ROOT)?.data as
            | Record<string, string>
            | undefined
        )?.["root-cert.pem"],
      PATIENCE_MS,
    );
    for (const [kind, name] of [
      ["MutatingWebhookConfiguration", INJECTION_WEBHOOK],
      ["ValidatingWebhookConfiguration", VALIDATION_WEBHOOK],
    ] as const) {
      const bundles = await eventually(
        `the bundle of ${name}`,
        async () => {
          const found = installed.server.get("admissionregistration.k8s.io/v1", kind, name) as
            | { readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[] }
            | undefined;
          const written = found?.webhooks.map(({ clientConfig }) => clientConfig.caBundle);
          return written?.every((each) => each !== undefined) ? (written as string[]) : undefined;
        },
        PATIENCE_MS,
      );
      expect(new Set(bundles.map((each) => Buffer.from(each, "base64").toString()))).toEqual(new Set([root]));
    }
  });

  it("injects sidecars that know where citadel and pilot are", async () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web" },
      spec: { containers: [{ name: "app", image: "web" }] },
    };
    const answer = await review(ports.webhook ?? 0, "/inject", pod);
    const { allowed, patch = "" } = (answer as { response: { allowed: boolean; patch?: string } }).response;
    expect(allowed).toBe(true);
    const text = Buffer.from(patch, "base64").toString();
    expect(text).toContain(`${installed.settings.hub}/sidecar:${installed.settings.tag}`);
    expect(text).toContain("istiod.istio-system.svc:15012");
    expect(text).toContain("LATEEN_TELEMETRY_ADDRESS");
  });

  it("refuses a rule with an unknown field", async () => {
    const rule = {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "x", namespace: "shop" },
      spec: { hosts: ["a"], htpp: [] },
    };
    const answer = await review(ports.webhook ?? 0, "/validate", rule);
    expect(answer).toMatchObject({
      response: { allowed: false, status: { message: expect.stringContaining('unknown field "htpp"') } },
    });
  });

  it("asks the API server for nothing that its role does not name, and ends with 0", async () => {
    expect(installed.refused).toEqual([]);
    expect(await installed.stop()).toBe(0);
  });
});
