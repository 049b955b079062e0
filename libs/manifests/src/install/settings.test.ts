import { describe, expect, it } from "vitest";
import { readSettings, settingsOf } from "./settings.ts";

describe("readSettings", () => {
  it("has a default for everything", () => {
    expect(readSettings([])).toEqual({ ok: true, value: settingsOf("default") });
  });

  it("takes Istio's names and the short ones, the last word winning", () => {
    const read = readSettings([
      "profile=demo",
      "hub=first",
      "global.hub=registry.example:5000/mesh",
      "tag=1.2.3",
      "global.imagePullPolicy=Always",
      "global.multiCluster.clusterName=east",
      "meshConfig.trustDomain=example.test",
      "revision=canary",
    ]);
    expect(read.ok && read.value).toEqual({
      profile: "demo",
      hub: "registry.example:5000/mesh",
      tag: "1.2.3",
      imagePullPolicy: "Always",
      clusterName: "east",
      revision: "canary",
      trustDomain: "example.test",
    });
  });

  it.each([
    ["profile=ambient", 'profile: "ambient" is not possible; there are minimal, default, demo'],
    ["global.hubb=x", 'there is no setting "global.hubb", did you mean global.hub?'],
    ["profile", '"profile": a setting is written name=value'],
    ["tag=a b", 'tag: "a b" is not possible'],
    ["hub=", 'hub: "" is not possible'],
    ["global.imagePullPolicy=Often", "there are Always, IfNotPresent, Never"],
    ["meshConfig.trustDomain=-", "is not possible"],
    ["__proto__=x", "there is no setting"],
  ])("%s is refused", (assignment, problem) => {
    const read = readSettings([assignment]);
    expect(read.ok ? "" : read.error.join()).toContain(problem);
  });

  it("says all problems at once", () => {
    const read = readSettings(["a=1", "b=2"]);
    expect(read.ok ? 0 : read.error.length).toBe(2);
  });
});
