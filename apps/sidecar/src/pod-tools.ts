import { runCapture } from "@lateen/capture";
import { systemClock } from "@lateen/kernel";
import { runRequest, runWait } from "@lateen/proxy";

/**
 * What a pod runs besides the proxy itself, under the verbs of Istio's agent: capture rules in its init container, hooks, questions. All are in
 * this program, so that a pod needs one image.
 * @returns the exit code; undefined when the proxy is meant.
 */
export async function runPodTool(argv: readonly string[]): Promise<number | undefined> {
  // A clock's timers do not keep a process alive, and a tool may wait for nothing else.
  const keepAlive = setInterval(() => {}, 0x7fffffff);
  try {
    return await run(argv);
  } finally {
    clearInterval(keepAlive);
  }
}

async function run([verb, ...argv]: readonly string[]): Promise<number | undefined> {
  const out = (text: string) => void process.stdout.write(text);
  const err = (text: string) => void process.stderr.write(text);
  switch (verb) {
    case "istio-iptables":
      return await runCapture("apply", argv, { env: process.env, out, err });
    case "istio-clean-iptables":
      return await runCapture("clear", argv, { env: process.env, out, err });
    case "wait":
      return await runWait(argv, systemClock(), { out, err });
    case "request":
      return await runRequest(argv, { out, err });
    default:
      return undefined;
  }
}
