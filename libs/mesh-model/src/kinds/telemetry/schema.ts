import { s } from "../../schema/index.ts";
import { LATER, workloadSelector } from "../shared.ts";
import { targetFields } from "../targets.ts";

const providers = s.array(s.object({ name: s.required(s.string()) }));
const mode = s.oneOf(["CLIENT_AND_SERVER", "CLIENT", "SERVER"]);

const customTag = s.object({
  literal: s.object({ value: s.required(s.string()) }),
  environment: s.object({ name: s.required(s.string()), defaultValue: s.string() }),
  header: s.object({ name: s.required(s.string()), defaultValue: s.string() }),
  formatter: s.unsupported(s.object({ value: s.string() }), LATER),
});

/** telemetry.istio.io Telemetry. */
export const telemetryBody = s.object({
  spec: s.object({
    selector: workloadSelector,
    ...targetFields,
    metrics: s.unsupported(s.any(), LATER),
    accessLogging: s.array(
      s.object({
        providers,
        match: s.object({ mode }),
        disabled: s.boolean(),
        filter: s.object({ expression: s.required(s.string()) }),
      }),
    ),
    tracing: s.array(
      s.object({
        providers,
        match: s.object({ mode }),
        randomSamplingPercentage: s.number({ min: 0, max: 100 }),
        disableSpanReporting: s.boolean(),
        customTags: s.map(customTag),
        useRequestIdForTraceSampling: s.boolean(),
        enableIstioTags: s.boolean(),
        disableContextPropagation: s.unsupported(s.boolean(), LATER),
      }),
    ),
  }),
});
