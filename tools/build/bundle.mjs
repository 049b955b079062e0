// Bundles one app (the current directory): every src/*.ts that is an entry (main, worker) becomes dist/<name>.js.
import { existsSync } from "node:fs";
import { build } from "esbuild";

const entryPoints = ["src/main.ts", "src/worker.ts"].filter((file) => existsSync(file));
await build({
  entryPoints,
  outdir: "dist",
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  conditions: ["@lateen/source"],
  external: ["koffi"],
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
