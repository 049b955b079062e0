import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Every file has a control plane and proxies of its own, and all share one set of addresses.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
