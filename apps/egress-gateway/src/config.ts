import { proxyFlags } from "@lateen/proxy";

/** Options of the egress gateway: a proxy without a workload of its own, drained longer than a sidecar. */
export const flags = proxyFlags({ program: "egress-gateway", role: "router", drainTime: "10s" });
