import { s } from "../../schema/index.ts";

/** networking.k8s.io IngressClass. */
export const ingressClassBody = s.object({ spec: s.object({ controller: s.string(), parameters: s.any() }) });
