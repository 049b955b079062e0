import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

const SHA = "0123456789abcdef".repeat(4);

describe("a WasmPlugin is accepted", () => {
  it.each([
    [
      "from a web server",
      `{url: "https://a/x.wasm", sha256: ${SHA}, phase: AUTHN, priority: -5, failStrategy: FAIL_OPEN, pluginConfig: {a: [1]}}`,
    ],
    [
      "from a file",
      "{url: 'file:///x.wasm', match: [{mode: SERVER, ports: [{number: 80}]}], vmConfig: {env: [{name: A, valueFrom: HOST}, {name: B, value: b}]}, type: NETWORK}",
    ],
  ])("%s", (_title, spec) => {
    expect(findingsOf(documentOf("WasmPlugin", spec))).toEqual([]);
  });
});

describe("a WasmPlugin is refused", () => {
  it.each([
    ["without a url", "{phase: AUTHN}", 'error spec: field "url" is required'],
    [
      "as an image",
      "{url: 'oci://a/b:1'}",
      'error spec.url: "oci://a/b:1" is an image, which nothing here fetches yet',
    ],
    ["as an image without a scheme", "{url: 'a/b:1'}", 'error spec.url: "a/b:1" is an image'],
    ["from elsewhere", "{url: 'ftp://a'}", 'error spec.url: "ftp://a" is not a file, http or https URL'],
    ["remote without a digest", "{url: 'http://a'}", "error spec.url: Envoy loads remote code only with its sha256"],
    ["with a bad digest", "{url: 'file:///a', sha256: abc}", "error spec.sha256: sha256 must be 64 hexadecimal digits"],
    [
      "with a variable twice",
      "{url: 'file:///a', vmConfig: {env: [{name: A}, {name: A}]}}",
      'error spec.vmConfig.env[1].name: "A" is written twice',
    ],
    [
      "with a value for the host's",
      "{url: 'file:///a', vmConfig: {env: [{name: A, valueFrom: HOST, value: x}]}}",
      "error spec.vmConfig.env[0].value: a variable of the host takes no value",
    ],
    [
      "that is to be loaded again",
      "{url: 'file:///a', failStrategy: FAIL_RELOAD}",
      "error spec.failStrategy: plugins that failed are not loaded again",
    ],
    ["from a file somewhere", "{url: 'file://host/a'}", 'error spec.url: "file://host/a" does not name a file'],
    [
      "for a Service",
      "{url: 'file:///a', targetRefs: [{kind: Service, name: a}]}",
      "error spec.targetRefs[0].kind: only a Gateway",
    ],
    [
      "for both a Gateway and labels",
      "{url: 'file:///a', selector: {matchLabels: {a: b}}, targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: a}}",
      "error spec: only one of selector, targetRef and targetRefs",
    ],
    ["with credentials for an image", "{url: 'file:///a', imagePullSecret: x}", "error spec.imagePullSecret: "],
    ["with port 0", "{url: 'file:///a', match: [{ports: [{number: 0}]}]}", "error spec.match[0].ports[0].number: "],
  ])("%s", (_title, spec, expected) => {
    expect(findingsOf(documentOf("WasmPlugin", spec)).map((text) => text.slice(0, expected.length))).toContain(
      expected,
    );
  });
});
