import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Each file has a mesh of its own; on two cores one at a time is quicker than two.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
