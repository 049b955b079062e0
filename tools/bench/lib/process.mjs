/** CPU time and memory of a whole process tree, from /proc (Linux). */
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** @param {number} pid @returns {number[]} the process and all its descendants */
export function processTree(pid) {
  const pids = [pid];
  let tasks = [];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    return pids;
  }
  for (const task of tasks)
    for (const child of read(`/proc/${pid}/task/${task}/children`).split(" "))
      if (child !== "") pids.push(...processTree(Number(child)));
  return pids;
}

/** User and system CPU seconds that the tree has used so far. @param {number} pid */
export function cpuSeconds(pid) {
  let user = 0;
  let system = 0;
  for (const one of processTree(pid)) {
    const fields = read(`/proc/${one}/stat`).split(") ").at(-1)?.split(" ") ?? [];
    user += Number(fields[11] ?? 0) / TICKS_PER_SECOND;
    system += Number(fields[12] ?? 0) / TICKS_PER_SECOND;
  }
  return { user, system, total: user + system };
}

/** Resident memory of the tree in MB (10^6 bytes); pages shared between processes count once a process. @param {number} pid */
export function rssMegabytes(pid) {
  let kilobytes = 0;
  for (const one of processTree(pid)) kilobytes += Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${one}/status`))?.[1] ?? 0);
  return (kilobytes * 1024) / 1e6;
}
