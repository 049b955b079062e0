import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Scope, silentLogger } from "@lateen/kernel";
import { createTokenKey } from "@lateen/pki";
import { readConfig } from "@lateen/runtime";
import { eventually } from "@lateen/test-support";
import { expect, it, onTestFinished } from "vitest";
import { composeControlPlane } from "./compose.ts";
import { flags } from "./config.ts";

/** A control plane in this process, with injection configured by files. */
async function running() {
  const scope = new Scope();
  const dir = await mkdtemp(join(tmpdir(), "lateen-control-"));
  onTestFinished(async () => {
    await scope.close();
    await rm(dir, { recursive: true });
  });
  const file = async (name: string, text: string) => {
    await writeFile(join(dir, name), text);
    return join(dir, name);
  };
  await file("token-pub.pem", createTokenKey().publicPem);
  const rules = join(dir, "rules");
  await mkdir(rules);
  const ports = ["xds", "ca", "config", "telemetry", "webhook", "metrics", "http", "prometheus"];
  const read = readConfig(
    flags,
    [
      `--state-dir=${dir}`,
      `--config=${rules}`,
      ...ports.map((name) => `--${name}-port=0`),
      `--values=${await file("values", "revision: one")}`,
      `--mesh-config=${await file("mesh", "defaultConfig: { proxyMetadata: { COLOUR: red } }")}`,
      "--kubernetes-version=1.34",
    ],
    {},
  );
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  await composeControlPlane(read.value.values, { scope, logger: silentLogger, signal: scope.signal });
  const { webhook } = JSON.parse(await readFile(join(dir, "control-plane.json"), "utf8")) as { webhook: number };
  const ca = await readFile(join(dir, "ca/root-cert.pem"), "utf8");
  return { file, injected: () => injected(webhook, ca) };
}

/** The patch that an API server gets for a pod. */
function injected(port: number, ca: string): Promise<string> {
  const object = { metadata: { name: "web" }, spec: { containers: [{ name: "app" }] } };
  const asked = { uid: "1", kind: { kind: "Pod" }, namespace: "shop", operation: "CREATE", object };
  const body = JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: asked });
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...{ host: "127.0.0.1", port, path: "/inject", method: "POST", ca, agent: false },
        servername: "istiod.istio-system.svc",
        headers: { "content-type": "application/json" },
      },
      (response) => {
        let text = "";
        response.on("data", (part: Buffer) => {
          text += part.toString();
        });
        response.on("end", () => {
          const { patch = "" } = (JSON.parse(text) as { response: { patch?: string } }).response;
          resolve(Buffer.from(patch, "base64").toString());
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

it("obeys ProxyConfigs of the configuration, and follows them", { timeout: 120_000 }, async () => {
  const { file, injected: patch } = await running();
  const rule = (colour: string) =>
    file(
      "rules/proxy.yaml",
      `apiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: { name: wide, namespace: istio-system }\nspec: { environmentVariables: { COLOUR: ${colour} } }\n`,
    );
  for (const colour of ["green", "yellow"]) {
    await rule(colour);
    await eventually(
      "what the object says over the mesh's",
      async () => ((await patch()).includes(`{"name":"COLOUR","value":"${colour}"}`) ? true : undefined),
      60_000,
    );
  }
  await rm(join(await file("rules/other.yaml", ""), "../proxy.yaml"));
  await eventually(
    "the mesh's again",
    async () => ((await patch()).includes('{"name":"COLOUR","value":"red"}') ? true : undefined),
    60_000,
  );
});

it("injects by the ConfigMaps that are mounted, and follows them", { timeout: 120_000 }, async () => {
  const { file, injected: patch } = await running();
  const first = await patch();
  expect(first).toContain('{"name":"COLOUR","value":"red"}');
  // Kubernetes 1.34.
  expect(first).toContain('"restartPolicy":"Always"');
  await file("values", "revision: two");
  await file("mesh", "defaultConfig: { proxyMetadata: { COLOUR: blue } }");
  const followed = await eventually(
    "the new configuration",
    async () => {
      const now = await patch();
      return now.includes('"value":"blue"') && now.includes('\\"two\\"') ? now : undefined;
    },
    60_000,
  );
  expect(followed).not.toContain('"value":"red"');
});
