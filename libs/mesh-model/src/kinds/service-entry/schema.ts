import { s } from "../../schema/index.ts";
import { port, workloadSelector } from "../shared.ts";
import { workloadEntrySpec } from "../workload-entry/schema.ts";

/** networking.istio.io ServiceEntry. */
export const serviceEntryBody = s.object({
  spec: s.required(
    s.object({
      hosts: s.required(s.array(s.string())),
      addresses: s.array(s.string()),
      ports: s.array(
        s.object({
          number: s.required(port),
          protocol: s.string(),
          name: s.required(s.string()),
          targetPort: port,
        }),
      ),
      location: s.oneOf(["MESH_EXTERNAL", "MESH_INTERNAL"]),
      resolution: s.oneOf(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]),
      endpoints: s.array(workloadEntrySpec),
      workloadSelector,
      exportTo: s.array(s.string()),
      subjectAltNames: s.array(s.string()),
    }),
  ),
});
