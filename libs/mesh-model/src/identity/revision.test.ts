import { describe, expect, it } from "vitest";
import { controlAccount, nameInRevision, parseControlAccount } from "./revision.ts";

describe("names in a revision", () => {
  it("are plain in the default one, and end in the others' name", () => {
    expect(nameInRevision("istiod", "default")).toBe("istiod");
    expect(nameInRevision("istiod", "canary")).toBe("istiod-canary");
  });

  it.each([
    ["istio-pilot-service-account", { component: "pilot", revision: "default" }],
    ["istio-pilot-service-account-canary", { component: "pilot", revision: "canary" }],
    ["istio-sidecar-injector-service-account-1-2", { component: "sidecar-injector", revision: "1-2" }],
    ["istio-pilot-service-account-", undefined],
    ["istio-pilot-service-account-default", undefined],
    ["istio-pilot-service-account-Canary", undefined],
    ["istio-pilot-service-accountant", undefined],
    ["istio-ingressgateway-service-account", undefined],
  ])("account %s", (account, expected) => {
    expect(parseControlAccount(account)).toEqual(expected);
    if (expected !== undefined) expect(controlAccount(expected.component as "pilot", expected.revision)).toBe(account);
  });
});
