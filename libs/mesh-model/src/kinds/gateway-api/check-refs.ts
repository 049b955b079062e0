import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { isIp } from "../../validation/ip.ts";
import { isDnsSubdomain } from "../../validation/names.ts";
import type { l4Rules, parentRefs } from "./refs.ts";

/** A Gateway API Hostname: a lower-case DNS name, whose first label may be `*`; no address. */
export function checkHostname(host: string | undefined, check: Check): void {
  if (host === undefined || host === "") return;
  const plain = host.startsWith("*.") ? host.slice(2) : host;
  if (!isDnsSubdomain(plain)) check.error(`"${host}" is not a host name`, { hint: "for example shop.example.com" });
  else if (isIp(plain)) check.error(`"${host}" is an address; a host name is needed`);
}

/** The parents of a route: no two the same. */
export function checkParents(parents: Infer<typeof parentRefs> | undefined, check: Check): void {
  const seen = new Set<string>();
  for (const [index, { group, kind, namespace, name, sectionName, port }] of (parents ?? []).entries()) {
    const key = [group ?? "", kind ?? "Gateway", namespace ?? "", name, sectionName ?? "", port ?? ""].join("|");
    if (seen.has(key)) {
      check.at("parentRefs", index).error("two parents are the same; sectionName or port tell them apart", {
        code: codes.duplicate,
      });
    }
    seen.add(key);
  }
}

/** Backends: a core Service needs a port. */
export function checkBackend(
  backend: { readonly group?: string; readonly kind?: string; readonly port?: number },
  check: Check,
): void {
  const service = (backend.group ?? "") === "" && (backend.kind ?? "Service") === "Service";
  if (service && backend.port === undefined) {
    check.error(`field "port" is required for a Service`, { code: codes.missingField });
  }
}

/** Rules of routes below HTTP. */
export function checkL4Rules(rules: Infer<typeof l4Rules> | undefined, check: Check): void {
  if (rules === undefined || rules.length === 0) check.error("at least one rule is required");
  for (const [index, rule] of (rules ?? []).entries()) {
    for (const [at, backend] of (rule.backendRefs ?? []).entries()) {
      checkBackend(backend, check.at("rules", index, "backendRefs", at));
    }
  }
}
