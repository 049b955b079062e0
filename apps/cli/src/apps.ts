import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { nearestName } from "@lateen/kernel";
import { notBuilt, usageError } from "./errors.ts";

/** Every app of the package that can be served, and what it is. */
export const servedApps: Readonly<Record<string, string>> = {
  "control-plane": "all control components in one process",
  pilot: "configuration for proxies (xDS)",
  citadel: "certificates",
  galley: "validation and distribution of configuration",
  mixer: "policy checks and telemetry",
  "sidecar-injector": "adds the sidecar to pods (Kubernetes)",
  sidecar: "the proxy beside a workload",
  agent: "certificate and configuration for an Envoy, or for gRPC without a proxy",
  "ingress-gateway": "the proxy at the edge, for requests that come in",
  "egress-gateway": "the proxy at the edge, for requests that go out",
};

/** Directory of all apps: this file is bundled into `apps/cli/dist`. */
const APPS = resolve(import.meta.dirname, "../..");

/**
 * Path of an app's program.
 * @throws LTN7501 for an unknown app, LTN7503 when it is not built.
 */
export function appProgram(name: string): string {
  if (!(name in servedApps)) {
    const near = nearestName(name, Object.keys(servedApps));
    throw usageError(
      `unknown app "${name}"${near === undefined ? "" : `, did you mean ${near}?`}`,
      `apps: ${Object.keys(servedApps).join(", ")}`,
    );
  }
  const path = join(APPS, name, "dist", "main.js");
  if (!existsSync(path)) throw notBuilt(name, path);
  return path;
}
