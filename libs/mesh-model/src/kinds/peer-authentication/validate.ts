import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { checkSelector } from "../../validation/common.ts";
import type { KindContext } from "../index.ts";
import type { peerAuthenticationBody } from "./schema.ts";

/** security.istio.io PeerAuthentication, as Istio's admission checks it. */
export function validatePeerAuthentication(body: Infer<typeof peerAuthenticationBody>, context: KindContext): void {
  const check = context.check.at("spec");
  const { selector, portLevelMtls } = body.spec ?? {};
  checkSelector(selector, "matchLabels", check.at("selector"));
  if (portLevelMtls === undefined) return;
  const at = check.at("portLevelMtls");
  const selected = Object.keys(selector?.matchLabels ?? {}).length > 0;
  if (!selected) {
    at.error("portLevelMtls needs a selector: ports belong to workloads", { code: codes.conflict, part: "key" });
  }
  if (Object.keys(portLevelMtls).length === 0) at.error("portLevelMtls must not be empty");
  for (const port of Object.keys(portLevelMtls)) {
    const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
    if (number < 1 || number > 65535) at.at(port).error(`"${port}" is not a port number`, { part: "key" });
  }
}
