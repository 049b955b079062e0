import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { checkSelector } from "../../validation/common.ts";
import { isDnsLabel, isWildcardHost } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import type { sidecarBody } from "./schema.ts";

/** networking.istio.io Sidecar, as Istio's admission checks it. */
export function validateSidecar(body: Infer<typeof sidecarBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  checkSelector(spec.workloadSelector, "labels", check.at("workloadSelector"));
  if (spec.egress === undefined && spec.outboundTrafficPolicy === undefined) {
    check.error("at least one of egress, outboundTrafficPolicy is required", { code: codes.missingField });
  }
  for (const [index, listener] of (spec.egress ?? []).entries()) {
    const at = check.at("egress", index);
    if (index > 0) at.error("only one egress listener without port is possible", { code: codes.duplicate });
    if (listener.captureMode === "NONE") {
      at.at("captureMode").error("captureMode NONE needs a listener port, which is not supported yet", {
        code: codes.unsupported,
      });
    }
    if (listener.hosts.length === 0) at.at("hosts").error("at least one host is required");
    for (const [position, host] of listener.hosts.entries()) {
      const slash = host.indexOf("/");
      const namespace = host.slice(0, Math.max(slash, 0));
      const legal =
        slash > 0 &&
        (["*", ".", "~"].includes(namespace) || isDnsLabel(namespace)) &&
        isWildcardHost(host.slice(slash + 1));
      if (!legal) {
        at.at("hosts", position).error(`"${host}" is not of the form "namespace/host"`, {
          hint: `for example "./*", "*/*" or "prod/reviews.prod.svc.cluster.local"`,
        });
      }
    }
    if (listener.hosts.includes("*/*") && listener.hosts.length > 1) {
      at.at("hosts").warn(`"*/*" makes the other hosts superfluous`);
    }
  }
}
