import { s } from "../../schema/index.ts";
import { workloadSelector } from "../shared.ts";

const mtls = s.object({ mode: s.oneOf(["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]) });
/** security.istio.io PeerAuthentication. */
export const peerAuthenticationBody = s.object({
  spec: s.object({ selector: workloadSelector, mtls, portLevelMtls: s.map(mtls) }),
});
