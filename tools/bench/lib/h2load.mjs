/** One run of h2load. Times in milliseconds. */
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { quantile } from "./numbers.mjs";

const UNITS = { us: 0.001, ms: 1, s: 1000 };
const milliseconds = (/** @type {string} */ text) => {
  const [, number, unit] = /([\d.]+)(us|ms|s)/.exec(text) ?? [];
  return Number(number) * UNITS[unit];
};

/**
 * @param {{ h2load: string, url: string, connections: number, streams?: number, seconds: number, pin?: readonly string[],
 *   headers?: readonly string[], http1?: boolean, rate?: { perSecond: number, log: string } }} options `rate`: open loop, requests are sent
 *   when due and not when the one before is answered; `log` is a scratch file
 * @returns {Promise<{ requests: number, rps: number, mean: number, max: number, p50: number, p99: number, errors: number }>} quantiles are
 *   NaN without `rate`
 */
export function runH2load(options) {
  const { h2load, url, connections, streams = 1, seconds, pin = [], headers = [], http1 = false, rate } = options;
  const argv = [
    ...pin,
    h2load,
    "-t1",
    `-c${connections}`,
    `-m${streams}`,
    `-D${seconds}`,
    ...(http1 ? ["--h1"] : []),
    ...(rate === undefined ? [] : [`--rps=${(rate.perSecond / connections).toFixed(3)}`, `--log-file=${rate.log}`]),
    ...headers.flatMap((header) => ["-H", header]),
    url,
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (chunk) => (text += chunk));
    child.stderr.on("data", (chunk) => (text += chunk));
    child.on("error", reject);
    child.on("close", () => {
      const requests = Number(/(\d+) succeeded/.exec(text)?.[1]);
      if (!(requests > 0)) return reject(new Error(`h2load made no requests:\n${text}`));
      const [, max, mean] = /time for request:\s+\S+\s+(\S+)\s+(\S+)/.exec(text) ?? [];
      const times = rate === undefined ? [] : requestTimes(rate.log);
      resolve({
        requests,
        rps: Number(/finished in [^,]+, ([\d.]+) req\/s/.exec(text)?.[1]),
        mean: milliseconds(mean ?? ""),
        max: milliseconds(max ?? ""),
        p50: quantile(times, 0.5),
        p99: quantile(times, 0.99),
        errors: Number(/(\d+) failed/.exec(text)?.[1] ?? 0),
      });
    });
  });
}

/** Milliseconds of each request in h2load's log: start, status, microseconds. */
function requestTimes(log) {
  const lines = readFileSync(log, "utf8").trim().split("\n");
  rmSync(log);
  return lines.map((line) => Number(line.split("\t")[2]) / 1000);
}
