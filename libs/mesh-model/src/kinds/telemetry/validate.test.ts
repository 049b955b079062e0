import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

describe("a Telemetry is accepted", () => {
  it.each([
    [
      "with access logs",
      "{accessLogging: [{providers: [{name: envoy}], match: {mode: SERVER}, filter: {expression: 'response.code >= 400'}}, {disabled: true}]}",
    ],
    [
      "with tracing",
      "{tracing: [{providers: [{name: zipkin}], randomSamplingPercentage: 12.5, customTags: {a: {literal: {value: x}}, b: {header: {name: x-b, defaultValue: y}}, c: {environment: {name: C}}}, disableSpanReporting: false}]}",
    ],
    [
      "with metrics",
      "{metrics: [{providers: [{name: prometheus}], reportingInterval: 10s, overrides: [{match: {metric: REQUEST_COUNT, mode: CLIENT}, disabled: false, tagOverrides: {destination_port: {value: string(destination.port)}, response_flags: {operation: REMOVE}}}, {match: {metric: ALL_METRICS}, disabled: true}, {match: {customMetric: requests_total}}, {}]}]}",
    ],
    ["for all", "{}"],
    [
      "for a Gateway",
      "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}], accessLogging: [{}]}",
    ],
  ])("%s", (_title, spec) => {
    expect(findingsOf(documentOf("Telemetry", spec))).toEqual([]);
  });
});

describe("a Telemetry is refused, or warned about", () => {
  it.each([
    [
      "with an unnamed provider",
      "{accessLogging: [{providers: [{name: ''}]}]}",
      "error spec.accessLogging[0].providers[0].name: a provider must not be empty",
    ],
    [
      "with a target of another namespace",
      "{targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: a, namespace: other}}",
      "error spec.targetRef.namespace: a target must be of the same namespace",
    ],
    [
      "with a tag whose value nobody can evaluate",
      "{metrics: [{overrides: [{tagOverrides: {a: {value: request.nothing}}}]}]}",
      'error spec.metrics[0].overrides[0].tagOverrides.a.value: cannot be evaluated as CEL: "request.nothing" is not an attribute',
    ],
    [
      "with a tag without value",
      "{metrics: [{overrides: [{tagOverrides: {a: {operation: UPSERT}}}]}]}",
      "error spec.metrics[0].overrides[0].tagOverrides.a.value: cannot be evaluated as CEL: it is empty",
    ],
    [
      "with a removed tag that has a value",
      "{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: request.host}}}]}]}",
      "error spec.metrics[0].overrides[0].tagOverrides.a.value: a tag that is removed has no value",
    ],
    [
      "with a tag that is no label",
      "{metrics: [{overrides: [{tagOverrides: {a-b: {value: request.host}}}]}]}",
      'error spec.metrics[0].overrides[0].tagOverrides.a-b: "a-b" is not the name of a label',
    ],
    [
      "with an unknown metric",
      "{metrics: [{overrides: [{match: {metric: REQUESTS}}]}]}",
      "error spec.metrics[0].overrides[0].match.metric: ",
    ],
    [
      "with a metric of one's own",
      "{metrics: [{overrides: [{match: {customMetric: mine}}]}]}",
      'error spec.metrics[0].overrides[0].match.customMetric: there is no metric "mine"',
    ],
    [
      "with two metrics in one match",
      "{metrics: [{overrides: [{match: {metric: REQUEST_COUNT, customMetric: requests_total}}]}]}",
      "error spec.metrics[0].overrides[0].match: only one of metric, customMetric",
    ],
    [
      "with a metric that is never reported",
      "{metrics: [{overrides: [{match: {metric: GRPC_REQUEST_MESSAGES}, disabled: true}]}]}",
      "warning spec.metrics[0].overrides[0].match.metric: Lateen's proxies do not report this metric",
    ],
    [
      "with metrics of an unnamed provider",
      "{metrics: [{providers: [{name: ''}]}]}",
      "error spec.metrics[0].providers[0].name: a provider must not be empty",
    ],
    [
      "with a filter that is no condition",
      "{accessLogging: [{filter: {expression: 'response.code'}}]}",
      "error spec.accessLogging[0].filter.expression: cannot be evaluated as CEL: it gives a int, which is no condition",
    ],
    [
      "with a filter that is no expression",
      "{accessLogging: [{filter: {expression: 'response.code >'}}]}",
      "error spec.accessLogging[0].filter.expression: cannot be evaluated as CEL: ",
    ],
    [
      "with a share above all",
      "{tracing: [{randomSamplingPercentage: 101}]}",
      "error spec.tracing[0].randomSamplingPercentage: ",
    ],
    [
      "with a tag of two kinds",
      "{tracing: [{customTags: {a: {literal: {value: x}, header: {name: b}}}}]}",
      "error spec.tracing[0].customTags.a: exactly one of literal, environment, header is required",
    ],
    [
      "with an empty filter",
      "{accessLogging: [{filter: {expression: ''}}]}",
      "error spec.accessLogging[0].filter.expression: cannot be evaluated as CEL: it is empty",
    ],
    [
      "with sampling that does not look at the request id",
      "{tracing: [{useRequestIdForTraceSampling: false}]}",
      "error spec.tracing[0].useRequestIdForTraceSampling: sampling that does not look at the request id is not supported",
    ],
    [
      "with two tracers",
      "{tracing: [{providers: [{name: a}, {name: b}]}]}",
      "warning spec.tracing[0].providers: only the first provider is used",
    ],
  ])("%s", (_title, spec, expected) => {
    expect(findingsOf(documentOf("Telemetry", spec)).map((text) => text.slice(0, expected.length))).toContain(expected);
  });
});
