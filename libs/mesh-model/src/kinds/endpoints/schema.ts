import { s } from "../../schema/index.ts";
import { port } from "../shared.ts";

const address = s.object({
  ip: s.required(s.string()),
  hostname: s.string(),
  nodeName: s.string(),
  targetRef: s.any(),
});
/** core/v1 Endpoints. */
export const endpointsBody = s.object({
  subsets: s.array(
    s.object({
      addresses: s.array(address),
      notReadyAddresses: s.array(address),
      ports: s.array(
        s.object({ name: s.string(), port: s.required(port), protocol: s.string(), appProtocol: s.string() }),
      ),
    }),
  ),
});
