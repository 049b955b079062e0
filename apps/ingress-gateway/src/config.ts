import { proxyFlags } from "@lateen/proxy";

/** Options of the ingress gateway: a proxy without a workload of its own, drained longer because its clients are outside the mesh. */
export const flags = proxyFlags({ program: "ingress-gateway", role: "router", drainTime: "10s" });
