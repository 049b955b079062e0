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
    ["with metrics", "{metrics: [{}]}", 'error spec.metrics: "metrics" cannot be used'],
    [
      "with a filter that is no expression",
      "{accessLogging: [{filter: {expression: 'response.code >'}}]}",
      "error spec.accessLogging[0].filter.expression: not an expression in CEL: ",
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
      "error spec.accessLogging[0].filter.expression: not an expression in CEL: it is empty",
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
