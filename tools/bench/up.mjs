/** bench:up — from the start of `lateen up` to a page with details, reviews and ratings. A fresh state directory every time. */
import { parseArgs } from "node:util";
import { BenchMesh } from "./lib/mesh.mjs";
import { median, table } from "./lib/numbers.mjs";
import { cpuSeconds, processTree, rssMegabytes } from "./lib/process.mjs";

const { values } = parseArgs({ options: { runs: { type: "string", default: "5" } } });
const times = [];
const cpu = [];
const memory = [];
for (let run = 1; run <= Number(values.runs); run++) {
  const mesh = await new BenchMesh().prepare();
  try {
    const start = performance.now();
    mesh.start();
    await mesh.until("the page", () => mesh.pageIsComplete(), { everyMs: 25 });
    times.push((performance.now() - start) / 1000);
    cpu.push(cpuSeconds(mesh.pid).total);
    memory.push(rssMegabytes(mesh.pid));
    console.error(`run ${run}: ${times.at(-1).toFixed(2)} s, ${processTree(mesh.pid).length} processes`);
  } finally {
    await mesh.stop();
  }
}
const row = (name, list, digits) => [
  name,
  median(list).toFixed(digits),
  Math.min(...list).toFixed(digits),
  Math.max(...list).toFixed(digits),
];
console.log(
  table(
    ["`lateen up` to the whole page", "median", "least", "most"],
    [row("seconds", times, 2), row("CPU seconds of all processes", cpu, 1), row("RSS of all processes, MB", memory, 0)],
  ),
);
