import { isBuiltin } from "node:module";

/**
 * Node's own modules are taken as objects instead of being imported. An ES import of one reads every export of it at once, also those
 * that are there only on demand: `node:http` then loads a whole HTTP client, `node:util` a MIME parser, in every process and worker.
 * @type {import("esbuild").Plugin}
 */
export const builtins = {
  name: "builtins",
  setup(build) {
    build.onResolve({ filter: /^(node:)?[a-z_/]+$/ }, ({ path, kind }) => {
      if (kind !== "import-statement" && kind !== "dynamic-import") return undefined;
      return isBuiltin(path)
        ? { path: path.replace(/^node:/, ""), namespace: "builtin", sideEffects: false }
        : undefined;
    });
    build.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(`node:${path}`)});`,
    }));
  },
};
