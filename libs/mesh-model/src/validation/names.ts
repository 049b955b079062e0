import type { Check } from "./check.ts";

/** RFC 1123 label as Kubernetes checks it. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
/** Istio also allows upper case and `_` in host names. */
const HOST_LABEL = /^[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?$/;

export function isDnsLabel(name: string): boolean {
  return LABEL.test(name);
}
export function isDnsSubdomain(name: string): boolean {
  return name.length <= 253 && SUBDOMAIN.test(name);
}

/** A host name of one or more labels; a trailing dot is allowed. */
export function isHostName(host: string): boolean {
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  return name.length > 0 && name.length <= 255 && name.split(".").every((label) => HOST_LABEL.test(label));
}

/** A host name, or one whose first label is or begins with `*` (`*.example.com`, `*`). */
export function isWildcardHost(host: string): boolean {
  if (host === "*") return true;
  if (!host.startsWith("*")) return isHostName(host);
  const rest = host.slice(1);
  return isHostName(rest.startsWith(".") || rest.startsWith("-") ? rest.slice(1) : rest);
}

/** Reports a label map that Kubernetes would refuse. */
export function checkLabels(labels: Readonly<Record<string, string>> | undefined, check: Check): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    const slash = key.indexOf("/");
    const prefix = slash < 0 ? undefined : key.slice(0, slash);
    if ((prefix !== undefined && !isDnsSubdomain(prefix)) || !LABEL_NAME.test(key.slice(slash + 1))) {
      check.at(key).error(`"${key}" is not a valid label name`, { part: "key" });
    }
    if (value !== "" && !LABEL_NAME.test(value)) {
      check.at(key).error(`"${value}" is not a valid label value`, {
        hint: "use at most 63 letters, digits, '-', '_' and '.'",
      });
    }
  }
}
