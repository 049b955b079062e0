// Runs a supervisor with one workload in the state directory that is named, until it is killed.
import { FakeConfig, startSupervisor, workload } from "./mesh.ts";

const config = new FakeConfig();
config.set(workload("web"));
await startSupervisor(process.argv[2] ?? "", config, (event) => {
  if (event.type === "ready") process.stdout.write("ready\n");
});
