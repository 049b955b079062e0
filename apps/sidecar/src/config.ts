import { proxyFlags } from "@lateen/proxy";

/** Options of the sidecar. Variables are those that Istio's injector sets. */
export const flags = proxyFlags({ program: "sidecar", role: "sidecar", drainTime: "5s" });
