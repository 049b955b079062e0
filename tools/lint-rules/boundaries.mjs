// The layer rules of ARCHITECTURE.md, checked on what the source really imports:
//   1. imports only go down the layers; no component imports a component, no adapter an adapter;
//   2. another project is imported by its root name only (protobuf modules excepted), never by a relative path;
//   3. what production code imports is in `dependencies`; devDependencies are for tests.
import { globSync, readFileSync } from "node:fs";
import { dirname, normalize, relative } from "node:path";

const ALLOWED = {
  app: ["component", "adapter", "engine", "platform", "model", "base"],
  component: ["engine", "platform", "model", "base"],
  adapter: ["platform:ports", "model", "base"],
  engine: ["engine", "platform", "model", "base"],
  platform: ["platform", "model", "base"],
  model: ["model", "base"],
  base: ["base"],
  internal: ["app", "component", "adapter", "engine", "platform", "model", "base", "internal"],
};
const IMPORT = /(?:^|[\s;])(?:import|export)\s(?:[^"';]*?\sfrom\s)?["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g;

const projects = new Map();
for (const file of globSync("{libs,apps,tools,samples,e2e}/*/package.json").sort()) {
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  const tag = manifest.nx?.tags?.find((text) => text.startsWith("layer:"));
  projects.set(manifest.name, { dir: dirname(file), manifest, layer: tag?.slice("layer:".length) ?? "internal" });
}

const problems = [];
const may = (from, to) =>
  ALLOWED[from.layer]?.some((rule) => {
    const [layer, only] = rule.split(":");
    return to.layer === layer && (only === undefined || to.manifest.name === `@lateen/${only}`);
  });

for (const [name, project] of projects) {
  if (ALLOWED[project.layer] === undefined) problems.push(`${name}: unknown layer "${project.layer}"`);
  for (const file of globSync(`${project.dir}/src/**/*.ts`)) {
    if (file.includes("/src/gen/")) continue;
    const isTest = /\.test\.ts$|\/testing\//.test(file);
    for (const match of readFileSync(file, "utf8").matchAll(IMPORT)) {
      const specifier = match[1] ?? match[2];
      if (specifier.startsWith(".")) {
        const target = normalize(`${dirname(file)}/${specifier}`);
        if (relative(project.dir, target).startsWith("..")) problems.push(`${file}: "${specifier}" leaves its project`);
        continue;
      }
      if (!specifier.startsWith("@lateen/")) continue;
      const target = specifier.split("/").slice(0, 2).join("/");
      const to = projects.get(target);
      if (to === undefined) {
        problems.push(`${file}: "${specifier}" is no project of this workspace`);
        continue;
      }
      if (specifier !== target && target !== "@lateen/proto")
        problems.push(`${file}: import "${target}", not "${specifier}"`);
      const declared = target in (project.manifest.dependencies ?? {});
      if (isTest ? !declared && !(target in (project.manifest.devDependencies ?? {})) : !declared)
        problems.push(`${file}: "${target}" is not in the ${isTest ? "devDependencies" : "dependencies"} of ${name}`);
      if (!isTest && !may(project, to))
        problems.push(`${file}: ${name} (${project.layer}) must not import ${target} (${to.layer})`);
    }
  }
}

for (const problem of problems) console.error(problem);
console.log(`${projects.size} projects, ${problems.length} boundary problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
