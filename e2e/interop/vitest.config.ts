import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Half a minute of waiting for exporters belongs to the full counts.
    exclude: ["**/node_modules/**", ...(process.env.LATEEN_TEST_FULL === "1" ? [] : ["src/telemetry.test.ts"])],
    // Every file has a control plane and proxies of its own, and all share one set of addresses.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
