import { s } from "../../schema/index.ts";
import { workloadSelector } from "../shared.ts";
import { targetFields } from "../targets.ts";

const names = s.array(s.string());

/** security.istio.io RequestAuthentication. */
export const requestAuthenticationBody = s.object({
  spec: s.object({
    selector: workloadSelector,
    ...targetFields,
    jwtRules: s.array(
      s.object({
        issuer: s.required(s.string()),
        audiences: names,
        jwksUri: s.string(),
        jwks: s.string(),
        fromHeaders: s.array(s.object({ name: s.required(s.string()), prefix: s.string() })),
        fromParams: names,
        fromCookies: names,
        outputPayloadToHeader: s.string(),
        outputClaimToHeaders: s.array(s.object({ header: s.required(s.string()), claim: s.required(s.string()) })),
        forwardOriginalToken: s.boolean(),
        timeout: s.duration(),
        spaceDelimitedClaims: names,
      }),
    ),
  }),
});
