import { expect, it } from "vitest";
import { isPermitted, permissionsOf } from "./permissions.ts";

const read = {
  verb: "get",
  group: "",
  subresource: undefined,
  namespace: "istio-system",
  name: "istio-ca-secret",
} as const;
const follow = { ...read, verb: "watch", group: "networking.istio.io", namespace: undefined, name: undefined } as const;

it.each([
  ["citadel reads the CA's secret", "citadel", { ...read, plural: "secrets" }, true],
  ["mixer does not", "mixer", { ...read, plural: "secrets" }, false],
  ["everybody may ask for the version", "mixer", { ...read, plural: "", path: "/version" }, true],
  ["and for no other page", "mixer", { ...read, plural: "", path: "/metrics" }, false],
  ["the injector follows ProxyConfigs", "sidecar-injector", { ...follow, plural: "proxyconfigs" }, true],
  ["and no other configuration", "sidecar-injector", { ...follow, plural: "virtualservices" }, false],
] as const)("%s", (_title, component, request, expected) => {
  expect(isPermitted(component, request)).toBe(expected);
});

it.each([
  ["its own mesh configuration", "galley", "list", "configmaps", "istio-canary", true],
  ["not that of the default revision", "galley", "list", "configmaps", "istio", false],
  ["its own notes", "galley", "update", "configmaps", "lateen-galley-canary", true],
  ["not those of the default revision", "galley", "update", "configmaps", "lateen-galley", false],
  ["its own stores' secrets", "citadel", "get", "secrets", "istio-nats-canary", true],
  ["the one CA", "citadel", "get", "secrets", "istio-ca-secret", true],
] as const)("revision canary has %s", (_title, component, verb, plural, name, expected) => {
  const table = permissionsOf("canary");
  expect(isPermitted(component, { ...read, verb, plural, name }, { table })).toBe(expected);
});
