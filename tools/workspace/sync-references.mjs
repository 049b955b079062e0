// Writes every project's tsconfig.json (project references) and the root one from the package.json dependencies.
// `--check` only reports drift.
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";

const check = process.argv.includes("--check");
const manifests = globSync("{libs,apps,e2e,samples,tools}/*/package.json").sort();
const projects = new Map(
  manifests.map((file) => [JSON.parse(readFileSync(file, "utf8")).name, { file, dir: dirname(file) }]),
);
const typed = [...projects.values()].filter(({ dir }) => globSync(`${dir}/src/**/*.ts`).length > 0);
let drift = 0;

function emit(file, value) {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  const old = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (old && JSON.stringify(JSON.parse(old)) === JSON.stringify(value)) return;
  drift++;
  if (check) console.error(`${file} does not match the package.json dependencies; run: npm run sync`);
  else {
    writeFileSync(file, text);
    execFileSync("node_modules/.bin/biome", ["format", "--write", file], { stdio: "ignore" });
  }
}

for (const { file, dir } of typed) {
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  const references = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter((name) => projects.has(name) && typed.includes(projects.get(name)))
    .map((name) => ({ path: relative(dir, projects.get(name).dir) }))
    .sort((a, b) => a.path.localeCompare(b.path));
  emit(`${dir}/tsconfig.json`, {
    extends: "../../tsconfig.base.json",
    compilerOptions: { rootDir: "src", outDir: "out-tsc", tsBuildInfoFile: "out-tsc/tsconfig.tsbuildinfo" },
    include: ["src"],
    references,
  });
}
emit("tsconfig.json", { files: [], references: typed.map(({ dir }) => ({ path: dir })) });
if (check && drift) process.exitCode = 1;
