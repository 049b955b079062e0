/** One run of h2load. Times in milliseconds. */
import { spawn } from "node:child_process";

const UNITS = { us: 0.001, ms: 1, s: 1000 };
const milliseconds = (/** @type {string} */ text) => {
  const [, number, unit] = /([\d.]+)(us|ms|s)/.exec(text) ?? [];
  return Number(number) * UNITS[unit];
};

/**
 * @param {{ h2load: string, url: string, connections: number, streams: number, seconds: number, pin?: string[], headers?: string[] }} options
 * @returns {Promise<{ requests: number, rps: number, mean: number, max: number, errors: number }>}
 */
export function runH2load({ h2load, url, connections, streams, seconds, pin = [], headers = [] }) {
  const argv = [
    ...pin,
    h2load,
    "-t1",
    `-c${connections}`,
    `-m${streams}`,
    `-D${seconds}`,
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
      resolve({
        requests,
        rps: Number(/finished in [^,]+, ([\d.]+) req\/s/.exec(text)?.[1]),
        mean: milliseconds(mean ?? ""),
        max: milliseconds(max ?? ""),
        errors: Number(/(\d+) failed/.exec(text)?.[1] ?? 0),
      });
    });
  });
}
