import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Outages of ten minutes belong to the full counts.
    exclude: ["**/node_modules/**", ...(process.env.LATEEN_TEST_FULL === "1" ? [] : ["src/absences.test.ts"])],
    // Each file has a mesh of its own; on two cores one at a time is quicker than two.
    fileParallelism: false,
    // Meshes at a time of `absences.test.ts`: 24 processes each, 2 GB.
    maxConcurrency: 3,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
