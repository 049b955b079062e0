import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { checkSelector, checkUnique } from "../../validation/common.ts";
import type { KindContext } from "../index.ts";
import { checkTargets } from "../targets.ts";
import type { wasmPluginBody } from "./schema.ts";

const MAX_PLUGIN_NAME = 255;
const MAX_ENVIRONMENT = 256;

/** extensions.istio.io WasmPlugin, as Istio's admission checks it. */
export function validateWasmPlugin(body: Infer<typeof wasmPluginBody>, context: KindContext): void {
  const check = context.check.at("spec");
  const { spec } = body;
  checkSelector(spec.selector, "matchLabels", check.at("selector"));
  checkTargets(spec, context.metadata.namespace, check);
  const scheme = /^([a-z0-9+.-]+):\/\//i.exec(spec.url)?.[1]?.toLowerCase();
  if (spec.url === "") check.at("url").error("url must not be empty");
  else if (scheme === undefined || scheme === "oci") {
    // Istio's agents fetch images and hand Envoy a file; stock Envoy, which gets ours over xDS alone, cannot.
    check.at("url").error(`"${spec.url}" is an image, which nothing here fetches yet`, {
      code: codes.unsupported,
      hint: "use http://, https:// or file://",
    });
  } else if (!["file", "http", "https"].includes(scheme)) {
    check.at("url").error(`"${spec.url}" is not a file, http or https URL`);
  }
  if (spec.sha256 !== undefined && !/^[0-9a-f]{64}$/.test(spec.sha256)) {
    check.at("sha256").error("sha256 must be 64 hexadecimal digits");
  }
  if ((scheme === "http" || scheme === "https") && spec.sha256 === undefined) {
    check.at("url").error("Envoy loads remote code only with its sha256", {
      code: codes.missingField,
      hint: "add sha256",
    });
  }
  if (scheme === "file" && !isPlainFile(spec.url)) {
    check.at("url").error(`"${spec.url}" does not name a file of the proxy's machine by an absolute path`, {
      hint: "write file:///path/to/plugin.wasm",
    });
  }
  if ((scheme === "http" || scheme === "https") && !URL.canParse(spec.url)) {
    check.at("url").error(`"${spec.url}" is not a URL`);
  }
  if (spec.failStrategy === "FAIL_RELOAD") {
    check.at("failStrategy").error("plugins that failed are not loaded again in this release", {
      code: codes.unsupported,
      hint: "use FAIL_CLOSE or FAIL_OPEN",
    });
  }
  if ((spec.pluginName ?? "").length > MAX_PLUGIN_NAME) check.at("pluginName").error("pluginName is too long");
  const env = spec.vmConfig?.env ?? [];
  const at = check.at("vmConfig", "env");
  if (env.length > MAX_ENVIRONMENT) at.error(`at most ${MAX_ENVIRONMENT} variables can be given`);
  checkUnique(
    env.map(({ name }, index) => [name, at.at(index, "name")] as const),
    (name) => `"${name}" is written twice`,
  );
  for (const [index, { name, valueFrom, value }] of env.entries()) {
    if (name === "") at.at(index, "name").error("a variable needs a name");
    if (valueFrom === "HOST" && value !== undefined && value !== "") {
      at.at(index, "value").error("a variable of the host takes no value", { code: codes.conflict });
    }
  }
}

function isPlainFile(url: string): boolean {
  return URL.canParse(url) && new URL(url).host === "" && new URL(url).pathname.length > 1;
}
