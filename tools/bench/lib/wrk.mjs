/** One run of wrk. Times in milliseconds. */
import { spawn } from "node:child_process";

const UNITS = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
const milliseconds = (/** @type {string} */ text) => {
  const [, number, unit] = /([\d.]+)(us|ms|s|m)/.exec(text) ?? [];
  return Number(number) * UNITS[unit];
};

/**
 * @param {{ wrk: string, url: string, connections: number, seconds: number, pin?: string[], headers?: string[] }} options
 * @returns {Promise<{ requests: number, rps: number, bytes: number, p50: number, p99: number, errors: number }>} `bytes`: read from the server
 */
export function runWrk({ wrk, url, connections, seconds, pin = [], headers = [] }) {
  const argv = [
    ...pin,
    wrk,
    "-t1",
    `-c${connections}`,
    `-d${seconds}s`,
    "--latency",
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
      const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
      if (!(requests > 0)) return reject(new Error(`wrk made no requests:\n${text}`));
      const [, read, unit] = /, ([\d.]+)([KMGT]?)B read/.exec(text) ?? [];
      const socketErrors =
        /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
      resolve({
        requests,
        rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
        bytes: Number(read) * 1024 ** " KMGT".indexOf(unit === "" ? " " : (unit ?? " ")),
        p50: milliseconds(/\s50%\s+(\S+)/.exec(text)?.[1] ?? ""),
        p99: milliseconds(/\s99%\s+(\S+)/.exec(text)?.[1] ?? ""),
        errors:
          Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0) +
          socketErrors.reduce((sum, one) => sum + Number(one), 0),
      });
    });
  });
}
