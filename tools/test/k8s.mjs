// `npm run test:k8s`: what is promised of Kubernetes, on a real API server. With KUBECONFIG set the contract of the adapter on that one, in a
// namespace of its own that is removed at the end. Without it, etcd, kube-apiserver and kube-controller-manager are started here (compiled
// first where they are not in the cache: minutes), and besides the contract an installation is tried on them (e2e/kubernetes), in a
// network namespace of its own in which addresses of pods and services are this machine's. Needs root for that.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { KubernetesServer, kubernetesPrograms } from "../../libs/test-support/src/programs/kubernetes-server.ts";
import { ensureService } from "../services/services.mjs";

const INSIDE = "LATEEN_TEST_KUBERNETES_INSIDE";
const { KUBECONFIG, PATH } = process.env;
const env = { ...process.env, PATH: `${resolve("node_modules/.bin")}${delimiter}${PATH}` };
const results = mkdtempSync(join(tmpdir(), "lateen-test-k8s-"));
const only = process.argv.slice(2);

const CONTRACT = { cwd: "libs/adapter-kubernetes", files: ["src/api-server.test.ts", "src/contract.test.ts"] };
const INSTALLATION = { cwd: "e2e/kubernetes", files: [] };
const totals = { passed: 0, failed: 0, skipped: 0 };

/** Runs a suite; what is in it is added up. */
function suite({ cwd, files }, more) {
  const file = join(results, `${cwd.replace("/", "-")}.json`);
  const report = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const limits = ["--testTimeout=240000", "--hookTimeout=300000"];
  const { status } = spawnSync("vitest", ["run", ...limits, ...report, ...files, ...only], {
    cwd,
    stdio: "inherit",
    // Not KUBECONFIG itself: `npm test` must leave the cluster alone that somebody happens to work with.
    env: { ...env, ...more },
  });
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(file, "utf8"));
    totals.passed += numPassedTests;
    totals.skipped += numPendingTests;
    totals.failed += numFailedTests === 0 && status !== 0 ? 1 : numFailedTests;
  } catch {
    totals.failed++;
  }
}

/** Leaves something out, with its reason. In CI what this machine could have is missing. */
function leaveOut(what, reason, installable) {
  console.log(`skipped: ${what}: ${reason}`);
  if (process.env.CI === "true" && installable) totals.failed++;
  else totals.skipped++;
}

/** Addresses of pods and services are all this machine's, and names are those of a file that the tests write. */
const SETUP = `
ip link set lo up
for range in 10.96.0.0/16 10.244.0.0/16 192.0.2.0/24; do ip route add local $range dev lo; done
mount --bind "$LATEEN_TEST_HOSTS" "$(readlink -f /etc/hosts)"
`;

/** @returns the exit code, or undefined when this machine gives no namespaces. */
function inNamespaces() {
  const hosts = join(results, "hosts");
  writeFileSync(hosts, "127.0.0.1 localhost\n");
  const ways = ["-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-ec"];
  const more = { ...env, LATEEN_TEST_HOSTS: hosts, [INSIDE]: "1" };
  const tried = spawnSync("unshare", [...ways, SETUP], { encoding: "utf8", env: more });
  if (tried.status !== 0) {
    leaveOut("an installation", tried.error?.message ?? tried.stderr.trim(), false);
    return undefined;
  }
  const self = [process.execPath, ...process.execArgv, process.argv[1], ...only];
  return (
    spawnSync("unshare", [...ways, `${SETUP}exec "$@"`, "sh", ...self], { stdio: "inherit", env: more }).status ?? 1
  );
}

async function onOwnCluster() {
  const server = await KubernetesServer.start();
  const more = { LATEEN_TEST_KUBECONFIG: server.kubeconfig };
  try {
    suite(CONTRACT, more);
    if (env[INSIDE] === "1") suite(INSTALLATION, { ...more, LATEEN_TEST_AUDIT: server.audit });
  } finally {
    await server.close();
  }
}

async function main() {
  if (KUBECONFIG) {
    console.log(`against the API server of ${KUBECONFIG}`);
    return suite(CONTRACT, { LATEEN_TEST_KUBECONFIG: KUBECONFIG });
  }
  if (env[INSIDE] === "1") return onOwnCluster();
  const programs = kubernetesPrograms(true);
  if (programs.paths === undefined) {
    leaveOut("a real API server", programs.reason, programs.installable);
    return suite(CONTRACT, {});
  }
  const kubectl = ensureService("kubectl");
  if (kubectl.path === undefined) leaveOut("an installation", `kubectl: ${kubectl.reason}`, kubectl.installable);
  else {
    const status = inNamespaces();
    if (status !== undefined) return status;
  }
  return onOwnCluster();
}

const code = await main();
rmSync(results, { recursive: true, force: true });
if (code === undefined) {
  const { passed, failed, skipped } = totals;
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
}
process.exitCode = code ?? (totals.failed > 0 || totals.passed === 0 ? 1 : 0);
