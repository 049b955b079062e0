// Bundles one app (the current directory): every src/*.ts that is an entry (main, worker) becomes dist/<name>.js. What is imported only when
// it is needed becomes a file of its own beside them, so that a short command loads little. Entries are bundled apart: through a library's
// index, esbuild would count whatever one of them uses as shared, and a worker must not load what only the main thread needs.
import { existsSync, rmSync } from "node:fs";
import { build } from "esbuild";
import { builtins } from "./builtins.mjs";

const entryPoints = ["src/main.ts", "src/worker.ts"].filter((file) => existsSync(file));
// Files of an earlier build have other names and would stay.
rmSync("dist", { recursive: true, force: true });
for (const entryPoint of entryPoints) {
  await build({
    entryPoints: [entryPoint],
    outdir: "dist",
    bundle: true,
    // A worker imports nothing late; with splitting it would still get a file for every late import that its libraries have.
    splitting: entryPoint !== "src/worker.ts",
    platform: "node",
    format: "esm",
    target: "node22",
    conditions: ["@lateen/source"],
    external: ["koffi"],
    plugins: [builtins],
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    sourcemap: "linked",
    legalComments: "none",
    logLevel: "warning",
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });
}
