import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { readInjectionConfig } from "@lateen/injector";
import { componentsOf, manifestOf, PROFILES, settingsOf } from "@lateen/manifests";
import { decodeText, meshConfigFromText } from "@lateen/mesh-model";
import { podArguments } from "@lateen/proxy";
import { type FlagSpecs, type Flags, readConfig } from "@lateen/runtime";
import { describe, expect, it } from "vitest";
import { parts } from "./parts.ts";

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

describe.each(PROFILES)("profile %s", (profile) => {
  const components = componentsOf(settingsOf(profile), parts);

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
    const objects = manifestOf(settingsOf(profile), parts);
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
    const objects = manifestOf(settingsOf(profile), parts);
    const data = (name: string) =>
      objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === name)?.data as Record<
        string,
        string
      >;
    const mesh = data("istio").mesh ?? "";
    const read = meshConfigFromText(mesh, "istio");
    expect(read.ok ? [] : read.error).toEqual([]);
    const { config, values } = data("istio-sidecar-injector");
    const injection = readInjectionConfig({ config, values, mesh });
    expect(injection.ok ? [] : injection.error).toEqual([]);
    const map = objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === "istio");
    expect(decodeText({ file: "istio.yaml", text: JSON.stringify(map) })).toMatchObject([{ ok: true, warnings: [] }]);
  });
});
