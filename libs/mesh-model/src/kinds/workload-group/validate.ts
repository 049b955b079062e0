import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { isHeaderName } from "../../validation/headers.ts";
import { checkLabels, isDnsSubdomain } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import type { workloadGroupBody } from "./schema.ts";

type Spec = Infer<typeof workloadGroupBody>["spec"];

/** networking.istio.io WorkloadGroup, as Istio's admission checks it. */
export function validateWorkloadGroup(body: Infer<typeof workloadGroupBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  checkLabels(spec.metadata?.labels, check.at("metadata", "labels"));
  checkLabels(spec.template.labels, check.at("template", "labels"));
  const { address, serviceAccount } = spec.template;
  if (address) {
    check.at("template", "address").error("a group has no address: each workload brings its own", { part: "key" });
  }
  if (serviceAccount && !isDnsSubdomain(serviceAccount)) {
    check.at("template", "serviceAccount").error(`"${serviceAccount}" is not a service account name`);
  }
  checkProbe(spec.probe, check.at("probe"));
}

function checkProbe(probe: Spec["probe"], check: Check): void {
  if (probe === undefined) return;
  const ways = (["httpGet", "tcpSocket", "exec", "grpc"] as const).filter((way) => probe[way] !== undefined);
  if (ways.length !== 1) {
    const found = ways.length === 0 ? "none is there" : `${ways.join(" and ")} are there`;
    check.error(`a probe needs exactly one of httpGet, tcpSocket, exec, grpc; ${found}`, { code: codes.conflict });
  }
  const { httpGet, exec } = probe;
  if (httpGet?.scheme && !["HTTP", "HTTPS"].includes(httpGet.scheme.toUpperCase())) {
    check.at("httpGet", "scheme").error(`scheme must be HTTP or HTTPS, not "${httpGet.scheme}"`);
  }
  if (httpGet?.path && !httpGet.path.startsWith("/")) check.at("httpGet", "path").error(`the path must begin with "/"`);
  for (const [index, { name = "" }] of (httpGet?.httpHeaders ?? []).entries()) {
    if (!isHeaderName(name)) check.at("httpGet", "httpHeaders", index).error(`"${name}" is not a header name`);
  }
  if (exec?.command.length === 0) check.at("exec", "command").error("a command needs at least one word");
}
