import { s } from "../../schema/index.ts";
import { LATER, port, workloadSelector } from "../shared.ts";
import { targetFields } from "../targets.ts";

/** extensions.istio.io WasmPlugin. */
export const wasmPluginBody = s.object({
  spec: s.required(
    s.object({
      selector: workloadSelector,
      ...targetFields,
      url: s.required(s.string()),
      sha256: s.string(),
      imagePullPolicy: s.oneOf(["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]),
      imagePullSecret: s.unsupported(s.string(), LATER),
      verificationKey: s.unsupported(s.string(), LATER),
      pluginConfig: s.any(),
      pluginName: s.string(),
      phase: s.oneOf(["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]),
      priority: s.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
      failStrategy: s.oneOf(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]),
      vmConfig: s.object({
        env: s.array(
          s.object({
            name: s.required(s.string()),
            valueFrom: s.oneOf(["INLINE", "HOST"]),
            value: s.string(),
          }),
        ),
      }),
      match: s.array(
        s.object({
          mode: s.oneOf(["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"]),
          ports: s.array(s.object({ number: s.required(port) })),
        }),
      ),
      type: s.oneOf(["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]),
    }),
  ),
});
