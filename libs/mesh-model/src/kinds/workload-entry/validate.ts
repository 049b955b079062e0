import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { isIp } from "../../validation/ip.ts";
import { checkLabels, isDnsSubdomain, isHostName } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import type { workloadEntryBody, workloadEntrySpec } from "./schema.ts";

/** networking.istio.io WorkloadEntry. */
export function validateWorkloadEntry(body: Infer<typeof workloadEntryBody>, context: KindContext): void {
  checkWorkloadEntry(body.spec, context.check.at("spec"));
}

/** The spec of a WorkloadEntry, or an inline endpoint. */
export function checkWorkloadEntry(entry: Infer<typeof workloadEntrySpec>, check: Check): void {
  checkLabels(entry.labels, check.at("labels"));
  if (entry.serviceAccount && !isDnsSubdomain(entry.serviceAccount)) {
    check.at("serviceAccount").error(`"${entry.serviceAccount}" is not a service account name`);
  }
  const { address } = entry;
  if (address === undefined || address === "") {
    check.error(`field "address" is required`, { code: codes.missingField });
    return;
  }
  if (address.startsWith("unix://")) {
    if (!address.startsWith("unix:///")) check.at("address").error("a unix address needs an absolute path");
    if (Object.keys(entry.ports ?? {}).length > 0) check.at("ports").error("a unix address has no ports");
  } else if (!isIp(address) && (!isHostName(address) || /^[\d.]+$/.test(address))) {
    check.at("address").error(`"${address}" is not an IP address, a host name or a unix:// path`);
  }
}
