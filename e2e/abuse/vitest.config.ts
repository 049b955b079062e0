import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // What takes minutes belongs to the full counts; the codecs' own mutation tests run always.
    include:
      process.env.LATEEN_TEST_FULL === "1"
        ? ["src/**/*.test.ts"]
        : ["src/requests.test.ts", "src/bodies.test.ts", "src/faults.test.ts"],
    // Floods and clocks do not go together.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
