import { s } from "../../schema/index.ts";
import { workloadSelector } from "../shared.ts";

/** networking.istio.io ProxyConfig. */
export const proxyConfigBody = s.object({
  spec: s.object({
    selector: workloadSelector,
    concurrency: s.integer({ min: 0, max: 2_147_483_647 }),
    environmentVariables: s.map(s.string()),
    image: s.object({ imageType: s.string() }),
  }),
});
