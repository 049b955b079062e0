/** Templates that are there without any configuration. */
export const builtInTemplates = ["sidecar", "gateway"] as const;
export type BuiltInTemplate = (typeof builtInTemplates)[number];

/** The proxy's container, whatever template it comes from. */
export const PROXY = "istio-proxy";
/** The init container that puts the capture rules in force. */
export const INIT = "istio-init";
