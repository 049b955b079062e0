// Bundles one app (the current directory): every src/*.ts that is an entry (main, worker) becomes dist/<name>.js. What is imported only when
// it is needed becomes a file of its own beside them, so that a short command loads little. Entries are bundled apart: through a library's
// index, esbuild would count whatever one of them uses as shared, and a worker must not load what only the main thread needs.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { builtins } from "./builtins.mjs";

const entryPoints = ["src/main.ts", "src/worker.ts"].filter((file) => existsSync(file));
const written = new Set();
for (const entryPoint of entryPoints) {
  const { metafile } = await build({
    entryPoints: [entryPoint],
    outdir: "dist",
    bundle: true,
    metafile: true,
    // A worker imports nothing late; with splitting it would still get a file for every late import that its libraries have.
    splitting: entryPoint !== "src/worker.ts",
    platform: "node",
    format: "esm",
    target: "node22",
    conditions: ["@lateen/source"],
    external: ["koffi"],
    plugins: [builtins],
    inject: [join(import.meta.dirname, "globals.mjs")],
    minifySyntax: true,
    minifyWhitespace: true,
    // Names stay anyway, for nothing is renamed but what collides; keeping those too would cost a call for every closure that is made.
    keepNames: entryPoint !== "src/worker.ts",
    sourcemap: "linked",
    legalComments: "none",
    logLevel: "warning",
    // Two names of one enum value, of which generated code makes two cases.
    logOverride: { "duplicate-case": "silent" },
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });
  for (const file of Object.keys(metafile.outputs)) written.add(basename(file));
}
// Files of an earlier build have other names and would stay. They go last, so that at every moment there is a whole bundle.
for (const name of readdirSync("dist")) if (!written.has(name)) rmSync(join("dist", name), { recursive: true });
