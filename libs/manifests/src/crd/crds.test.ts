import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { decodeText, kindDefinition, kindNameOf } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { schemaFaults, structuralFaults } from "../testing/structural-validator.ts";
import { customResourceDefinitions } from "./crds.ts";

const ROOT = resolve(import.meta.dirname, "../../../..");
const crds = customResourceDefinitions();

function schemaOf(apiVersion: string, kind: string) {
  const [group = "", name = ""] = apiVersion.split("/");
  const crd = crds.find(({ spec }) => spec.group === group && spec.names.kind === kind);
  return crd?.spec.versions.find((version) => version.name === name)?.schema.openAPIV3Schema;
}

interface Document {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

/** Metadata and the envelope are the API server's own business. */
function faultsOf(object: Document): readonly string[] {
  const schema = schemaOf(object.apiVersion, object.kind);
  if (schema === undefined) return [`no schema for ${object.apiVersion} ${object.kind}`];
  const { apiVersion: _v, kind: _k, metadata: _m, ...body } = object;
  return structuralFaults(schema, body);
}

/** Every Istio object in the project's files that the decoder accepts, as it is written there. */
function acceptedObjects(): readonly { readonly where: string; readonly object: Document }[] {
  const files = globSync("{samples,libs/compiler/goldens,e2e}/**/*.{yaml,yml}", {
    cwd: ROOT,
    exclude: (name) => name === "node_modules",
  });
  return files.flatMap((file) => {
    const text = readFileSync(join(ROOT, file), "utf8");
    return parseAllDocuments(text).flatMap((document) => {
      const object = document.toJS() as Document | null;
      const group = object?.apiVersion?.includes("/") ? (object.apiVersion.split("/")[0] ?? "") : "";
      if (object === null || !group.endsWith("istio.io") || kindNameOf(group, object.kind) === undefined) return [];
      const decoded = decodeText({ file, text: JSON.stringify(object) });
      const accepted = decoded.every(({ ok }) => ok);
      return accepted ? [{ where: `${file} ${object.kind} ${object.metadata?.name}`, object }] : [];
    });
  });
}

describe("custom resource definitions", () => {
  it("define every Istio kind with Istio's versions and short names, stored under the newest", () => {
    const table = crds.map(({ metadata, spec }) => [
      metadata.name,
      spec.versions.map(({ name, storage }) => `${name}${storage ? "*" : ""}`).join(" "),
      (spec.names.shortNames ?? []).join(" "),
    ]);
    expect(table).toEqual([
      ["authorizationpolicies.security.istio.io", "v1* v1beta1", "ap"],
      ["destinationrules.networking.istio.io", "v1* v1beta1 v1alpha3", "dr"],
      ["envoyfilters.networking.istio.io", "v1alpha3*", ""],
      ["gateways.networking.istio.io", "v1* v1beta1 v1alpha3", "gw"],
      ["peerauthentications.security.istio.io", "v1* v1beta1", "pa"],
      ["proxyconfigs.networking.istio.io", "v1beta1*", ""],
      ["requestauthentications.security.istio.io", "v1* v1beta1", "ra"],
      ["serviceentries.networking.istio.io", "v1* v1beta1 v1alpha3", "se"],
      ["sidecars.networking.istio.io", "v1* v1beta1 v1alpha3", ""],
      ["telemetries.telemetry.istio.io", "v1* v1alpha1", "telemetry"],
      ["virtualservices.networking.istio.io", "v1* v1beta1 v1alpha3", "vs"],
      ["wasmplugins.extensions.istio.io", "v1alpha1*", ""],
      ["workloadentries.networking.istio.io", "v1* v1beta1 v1alpha3", "we"],
      ["workloadgroups.networking.istio.io", "v1* v1beta1 v1alpha3", "wg"],
    ]);
  });

  it("have structural schemas and a status subresource in every version", () => {
    for (const { metadata, spec } of crds) {
      expect(spec.versions.filter(({ storage }) => storage)).toHaveLength(1);
      for (const { name, schema, subresources } of spec.versions) {
        expect(schemaFaults(schema.openAPIV3Schema), `${metadata.name} ${name}`).toEqual([]);
        expect(subresources).toEqual({ status: {} });
      }
    }
  });

  it("accept every sample and golden input that the decoder accepts", { timeout: 120_000 }, () => {
    const objects = acceptedObjects();
    expect(objects.length).toBeGreaterThan(150);
    expect(
      objects.map(({ where, object }) => [where, faultsOf(object)]).filter(([, faults]) => faults?.length),
    ).toEqual([]);
    const kinds = new Set(objects.map(({ object }) => object.kind));
    expect(crds.map(({ spec }) => spec.names.kind).filter((kind) => !kinds.has(kind))).toEqual(["ProxyConfig"]);
  });

  it("accept a ProxyConfig, of which the files have none", () => {
    const spec = { selector: { matchLabels: { app: "a" } }, concurrency: 2, environmentVariables: { A: "b" } };
    const object = { apiVersion: "networking.istio.io/v1beta1", kind: "ProxyConfig", metadata: { name: "x" }, spec };
    expect(faultsOf(object as Document)).toEqual([]);
  });

  it.each([
    ["an unknown field", { hosts: ["a"], htpp: [] }, ".spec.htpp: unknown field"],
    [
      "an unknown field deep down",
      { http: [{ route: [{ destination: { hots: "a" } }] }] },
      ".spec.http[0].route[0].destination.hots: unknown field",
    ],
    ["a wrong type", { hosts: "a" }, ".spec.hosts: no array"],
    ["a wrong duration", { http: [{ timeout: "5" }] }, '.spec.http[0].timeout: "5" does not match'],
    [
      "a wrong enum",
      { http: [{ corsPolicy: { unmatchedPreflights: "MAYBE" } }] },
      '.spec.http[0].corsPolicy.unmatchedPreflights: "MAYBE" is not in the enum',
    ],
    [
      "a port out of range",
      { tcp: [{ match: [{ port: 70000 }] }] },
      ".spec.tcp[0].match[0].port: 70000 is out of range",
    ],
    ["a missing field", { http: [{ route: [{}] }] }, ".spec.http[0].route[0].destination: required"],
  ])("refuse %s", (_what, spec, fault) => {
    const faults = faultsOf({
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "x" },
      spec,
    } as Document);
    expect(faults).toContain(fault);
  });

  it("let an API server keep any status", () => {
    const object = {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "x" },
      spec: {},
      status: { conditions: [{}] },
    };
    expect(faultsOf(object as Document)).toEqual([]);
  });

  it("accept the spellings that the decoder replaces", () => {
    const spec = { host: "a", trafficPolicy: { loadBalancer: { simple: "LEAST_CONN" } } };
    expect(
      faultsOf({
        apiVersion: "networking.istio.io/v1",
        kind: "DestinationRule",
        metadata: { name: "x" },
        spec,
      } as Document),
    ).toEqual([]);
  });

  it("name the kinds that they are generated from", () => {
    for (const { spec } of crds)
      expect(kindDefinition(kindNameOf(spec.group, spec.names.kind) ?? "Pod").plural).toBe(spec.names.plural);
  });
});
