import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Only `npm run test:k8s` has an API server for them: `npm test` neither finds nor counts them.
    include: ["src/**/*.k8s.ts"],
    fileParallelism: false,
  },
});
