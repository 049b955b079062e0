import { s } from "../../schema/index.ts";
import { port } from "../shared.ts";

/** gateway.networking.k8s.io ParentReference: a Gateway (default), or a Service for routes of the mesh. */
export const parentRef = s.object({
  group: s.string(),
  kind: s.string(),
  namespace: s.string(),
  name: s.required(s.string()),
  sectionName: s.string(),
  port,
});
export const parentRefs = s.array(parentRef);

const weight = s.integer({ min: 0, max: 1_000_000 });
/** gateway.networking.k8s.io BackendObjectReference: a core Service (default), or Istio's `Hostname`. */
export const backendObject = {
  group: s.string(),
  kind: s.string(),
  namespace: s.string(),
  name: s.required(s.string()),
  port,
} as const;
export const backendRef = { ...backendObject, weight } as const;
/** Rules that only say where connections go. */
export const l4Rules = s.array(s.object({ name: s.string(), backendRefs: s.array(s.object(backendRef)) }));
