import { describe, expect, it } from "vitest";
import { configOf } from "../testing/pods.ts";
import { readInjectionConfig } from "./injection-config.ts";
import { assignValue } from "./set.ts";

describe("readInjectionConfig", () => {
  it("needs nothing", () => {
    expect(configOf()).toMatchObject({ policy: "enabled", revision: "default", defaultTemplates: ["sidecar"] });
  });

  it.each([
    [{ config: "policy: maybe" }, "config: policy"],
    [{ config: "polices: enabled" }, 'unknown field "polices"'],
    [{ config: "neverInjectSelector: [{ matchLabel: {} }]" }, "matchLabel"],
    [{ config: "neverInjectSelector: [{ matchExpressions: [{ key: a, operator: In }] }]" }, "neverInjectSelector[0]"],
    [{ config: "defaultTemplates: [nosuch]" }, 'there is no template "nosuch"'],
    [{ config: "templates: { a: '{{ if }}' }" }, "templates: a:"],
    [{ config: "a: [" }, "config:"],
    [{ values: "global: { proxy: { imag: x } }" }, "did you mean"],
    [{ values: "pilot: { cni: { enabled: true } }" }, "no network plugin"],
    [{ values: "global: { proxy: { privileged: true } }" }, "needs no privileges"],
    [{ values: "[]" }, "values: must be a map"],
    [{ mesh: "trustDomane: x" }, "mesh configuration:"],
    [{ set: ["global.proxy.autoInject=perhaps"] }, "autoInject"],
    [{ set: ["nothing"] }, "an assignment is written path=value"],
  ])("%j is refused", (texts, problem) => {
    const read = readInjectionConfig(texts);
    expect(read.ok ? "" : read.error.join()).toContain(problem);
  });
});

describe("--set", () => {
  it.each([
    ["global.proxy.autoInject=disabled", (config: ReturnType<typeof configOf>) => config.policy, "disabled"],
    [
      "sidecarInjectorWebhook.neverInjectSelector[0].matchLabels.a\\.b/c=x,y=z",
      (config) => config.neverInjectSelector,
      [{ matchLabels: { "a.b/c": "x,y=z" } }],
    ],
    [
      "sidecarInjectorWebhook.neverInjectSelector[0].matchLabels.on=true",
      (config) => config.neverInjectSelector,
      [{ matchLabels: { on: "true" } }],
    ],
    ["sidecarInjectorWebhook.injectedAnnotations.a\\.b=1", (config) => config.injectedAnnotations, { "a.b": "1" }],
    ["pilot.env.ENABLE_NATIVE_SIDECARS=true", (config) => config.values.nativeSidecars, "on"],
    ["global.tag=1.10", (config) => config.values.proxyImage, "lateen/sidecar:1.10"],
    ["global.proxy.readinessPeriodSeconds=3", (config) => config.values.readiness.period, 3],
    ["meshConfig.trustDomain=example.test", (config) => config.mesh.config.trustDomain, "example.test"],
    ["meshConfig.defaultConfig.concurrency=2", (config) => config.mesh.proxyConfig, { concurrency: 2 }],
  ] as [string, (config: ReturnType<typeof configOf>) => unknown, unknown][])("%s", (assignment, read, expected) => {
    expect(read(configOf({ set: [assignment] }))).toEqual(expected);
  });

  it.each(["a..b=1", "a[x]=1", "=1", "a.=1", "__proto__.x=1", "a[5]=1"])("%s is refused", (assignment) => {
    expect(assignValue({}, assignment).ok).toBe(false);
  });

  it("does not put parts into a plain value", () => {
    expect(assignValue({ a: "text" }, "a.b=1").ok).toBe(false);
  });
});
