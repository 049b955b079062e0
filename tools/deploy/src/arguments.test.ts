import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { readInjectionConfig } from "@lateen/injector";
import { componentsOf, manifestOf, PROFILES, settingsOf } from "@lateen/manifests";
import { decodeText, meshConfigFromText, nameInRevision } from "@lateen/mesh-model";
import { podArguments } from "@lateen/proxy";
import { type FlagSpecs, type Flags, readConfig } from "@lateen/runtime";
import { describe, expect, it } from "vitest";
import { partsOf } from "./parts.ts";

const APPS = resolve(import.meta.dirname, "../../../apps");

async function flagsOf(app: string): Promise<Flags<FlagSpecs>> {
  const { flags } = (await import(pathToFileURL(join(APPS, app, "src/config.ts")).href)) as { flags: Flags<FlagSpecs> };
  return flags;
}

/** What the kubelet makes of a container's environment. */
function environment(env: readonly Readonly<Record<string, unknown>>[] = []): Record<string, string> {
  const values: Readonly<Record<string, string>> = { POD_NAMESPACE: "istio-system", INSTANCE_IP: "10.0.0.1" };
  return Object.fromEntries(
    env.map(({ name, value }) => [String(name), typeof value === "string" ? value : (values[String(name)] ?? "x")]),
  );
}

const EVERY = PROFILES.flatMap((profile) => ["default", "canary"].map((revision) => [profile, revision] as const));

describe.each(EVERY)("profile %s, revision %s", (profile, revision) => {
  const settings = { ...settingsOf(profile), revision };
  const parts = partsOf(revision);
  const components = componentsOf(settings, parts);

  it.each(
    components.filter(({ image }) => image === undefined).map((component) => [component.name, component] as const),
  )("the program of %s takes its arguments", async (_name, { app, args, env, ports }) => {
    const flags = await flagsOf(app);
    const variables = environment(env);
    const expanded = args.map((arg) => arg.replaceAll(/\$\((\w+)\)/g, (_whole, name: string) => variables[name] ?? ""));
    const translated = expanded[0] === "proxy" ? podArguments(expanded.slice(1), variables, 2) : undefined;
    expect(translated === undefined || translated.ok).toBe(true);
    const read = readConfig(flags, translated?.ok ? translated.value : expanded, variables);
    expect(read).toMatchObject({ ok: true, value: { positionals: [] } });
    // Ports that the program opens, unless they were said to be others, are ports that the container has.
    const open = Object.entries(read.ok ? read.value.values : {}).filter(([name]) =>
      /^(xds|ca|config|telemetry|metrics|http|webhook|status|health|stats)Port$/.test(name),
    );
    expect(ports.map(({ port }) => port)).toEqual(expect.arrayContaining(open.map(([, port]) => port)));
  });

  it("those who put trust into webhooks may, and name webhooks that are there", () => {
    const objects = manifestOf(settings, parts);
    const named = components.flatMap(({ args, permissions }) =>
      args
        .filter((arg) => /^--([a-z]+-)?webhook=/.test(arg))
        .map((arg) => ({ name: arg.slice(arg.indexOf("=") + 1), rules: permissions?.cluster ?? [] })),
    );
    expect(named.map(({ name }) => name).toSorted()).toEqual(
      objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration")).map(({ metadata }) => metadata.name),
    );
    for (const { name, rules } of named)
      expect(
        rules.filter(({ resourceNames, verbs }) => resourceNames?.includes(name) && verbs.includes("patch")),
      ).toHaveLength(1);
  });

  it("mesh and injection configuration can be read", () => {
    const objects = manifestOf(settings, parts);
    const data = (name: string) =>
      objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === name)?.data as Record<
        string,
        string
      >;
    const mesh = data(nameInRevision("istio", revision)).mesh ?? "";
    const read = meshConfigFromText(mesh, "istio");
    expect(read.ok ? [] : read.error).toEqual([]);
    const { config, values } = data(nameInRevision("istio-sidecar-injector", revision));
    const injection = readInjectionConfig({ config, values, mesh });
    expect(injection.ok ? [] : injection.error).toEqual([]);
    const map = objects.find(
      ({ kind, metadata }) => kind === "ConfigMap" && metadata.name === nameInRevision("istio", revision),
    );
    expect(decodeText({ file: "istio.yaml", text: JSON.stringify(map) })).toMatchObject([{ ok: true, warnings: [] }]);
  });
});
