import { IMAGE_TYPE_FORM } from "../../config/proxy-configs.ts";
import type { Infer } from "../../schema/index.ts";
import { checkSelector } from "../../validation/common.ts";
import type { KindContext } from "../index.ts";
import type { proxyConfigBody } from "./schema.ts";

/** networking.istio.io ProxyConfig, as Istio's admission checks it. */
export function validateProxyConfig(body: Infer<typeof proxyConfigBody>, context: KindContext): void {
  const { selector, environmentVariables, image } = body.spec ?? {};
  const check = context.check.at("spec");
  checkSelector(selector, "matchLabels", check.at("selector"));
  for (const name of Object.keys(environmentVariables ?? {})) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      check.at("environmentVariables", name).error(`"${name}" is not a name of a variable`, { part: "key" });
    }
  }
  const { imageType = "" } = image ?? {};
  if (imageType !== "" && !IMAGE_TYPE_FORM.test(imageType)) {
    check.at("image", "imageType").error(`"${imageType.slice(0, 100)}" is not the ending of an image's tag`);
  } else if (imageType !== "") {
    check
      .at("image")
      .warn("it has an effect in injected pods only: on one machine no proxy runs from an image", { part: "key" });
  }
}
