import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { identityOf, type KubernetesObject, manifestOf, PROFILES, type Profile, settingsOf } from "@lateen/manifests";
import { ensureService } from "@lateen/services";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { parts } from "./parts.ts";

const DEPLOY = resolve(import.meta.dirname, "../../../deploy");
const helm = ensureService("helm");
const kubectl = ensureService("kubectl");
const skipped = (service: typeof helm) =>
  service.path === undefined && !(process.env.CI !== undefined && service.installable);

function render(program: string | undefined, ...args: string[]): ReadonlyMap<string, unknown> {
  const { status, stdout, stderr } = spawnSync(program ?? "", args, { encoding: "utf8", maxBuffer: 64 << 20 });
  if (status !== 0) throw new Error(stderr);
  const objects = parseAllDocuments(stdout)
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);
  return byIdentity(objects);
}

function byIdentity(objects: readonly KubernetesObject[]): ReadonlyMap<string, unknown> {
  return new Map(objects.map((object) => [identityOf(object), JSON.parse(JSON.stringify(object))]));
}

function expected(profile: Profile, settings = {}): ReadonlyMap<string, unknown> {
  return byIdentity(manifestOf({ ...settingsOf(profile), ...settings }, parts));
}

describe.skipIf(skipped(kubectl))("kustomize", { timeout: 120_000 }, () => {
  it.each(PROFILES)("renders the objects of profile %s", (profile) => {
    expect(render(kubectl.path, "kustomize", `${DEPLOY}/kubernetes/profiles/${profile}`)).toEqual(expected(profile));
  });
});

describe.skipIf(skipped(helm))("helm", { timeout: 120_000 }, () => {
  const template = (...set: string[]) =>
    render(
      helm.path,
      "template",
      "lateen",
      `${DEPLOY}/helm/lateen`,
      "--kube-version",
      "1.34.0",
      ...set.flatMap((each) => ["--set", each]),
    );

  it.each(PROFILES)("renders the objects of profile %s", (profile) => {
    expect(template(`profile=${profile}`, "createNamespace=true")).toEqual(expected(profile));
  });

  it("puts values where the settings go", () => {
    const set = [
      "global.hub=h.example/x",
      "global.tag=t1",
      "global.imagePullPolicy=Always",
      "global.multiCluster.clusterName=east",
      "meshConfig.trustDomain=td.test",
    ];
    const settings = {
      hub: "h.example/x",
      tag: "t1",
      imagePullPolicy: "Always",
      clusterName: "east",
      trustDomain: "td.test",
    };
    expect(template("profile=demo", "createNamespace=true", ...set)).toEqual(expected("demo", settings));
  });

  it("leaves the namespace to those who make the release", () => {
    const kinds = [...template().keys()].filter((identity) => identity.startsWith("Namespace"));
    expect(kinds).toEqual([]);
  });

  it.each(["profile=ambient", "global.hubb=x", "global.imagePullPolicy=Often"])("refuses %s", (set) => {
    expect(() => template(set)).toThrow(/values don't meet the specifications|schema/i);
  });
});
