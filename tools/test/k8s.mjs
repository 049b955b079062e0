// `npm run test:k8s`: the contract suite of the Kubernetes adapter. With KUBECONFIG set against that API server, in a namespace of its own that is
// removed at the end; without it against the one in the process, as `npm test` does.
import { spawnSync } from "node:child_process";
import { delimiter, resolve } from "node:path";

const { KUBECONFIG, PATH } = process.env;
const env = {
  ...process.env,
  PATH: `${resolve("node_modules/.bin")}${delimiter}${PATH}`,
  // Not KUBECONFIG itself: `npm test` must leave the cluster alone that somebody happens to work with.
  ...(KUBECONFIG ? { LATEEN_TEST_KUBECONFIG: KUBECONFIG } : {}),
};
console.log(
  KUBECONFIG
    ? `against the API server of ${KUBECONFIG}`
    : "KUBECONFIG is not set: against the API server in the process",
);
const { status } = spawnSync(
  "vitest",
  ["run", "--testTimeout=120000", "--hookTimeout=120000", "src/contract.test.ts"],
  {
    cwd: "libs/adapter-kubernetes",
    stdio: "inherit",
    env,
  },
);
process.exitCode = status ?? 1;
