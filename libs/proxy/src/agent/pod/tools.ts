import { request } from "node:http";
import { type Clock, messageOf, sleep } from "@lateen/kernel";

/** Where a tool writes. */
export interface ToolOutput {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const EXIT_USAGE = 64;
const ASK_TIMEOUT_MS = 1000;

/**
 * `wait [--url U] [--timeoutSeconds N] [--periodMillis N]`: returns when the proxy is ready, so that a hook of its container holds back the
 * ones after it.
 * @returns the exit code: 0 ready, 1 not in time.
 */
export async function runWait(argv: readonly string[], clock: Clock, { err }: ToolOutput): Promise<number> {
  const options: Record<string, string> = {
    url: "http://localhost:15021/healthz/ready",
    timeoutSeconds: "60",
    periodMillis: "500",
    requestTimeoutMillis: String(ASK_TIMEOUT_MS),
  };
  for (let at = 0; at < argv.length; at++) {
    const [, name = "", inline] = /^--?([^=]+)(?:=(.*))?$/s.exec(argv[at] ?? "") ?? [];
    const value = inline ?? argv[++at];
    if (!Object.hasOwn(options, name) || value === undefined) {
      err(`wait: option ${argv[at] ?? name} is not known\n`);
      return EXIT_USAGE;
    }
    options[name] = value;
  }
  const deadline = clock.now() + Number(options.timeoutSeconds) * 1000;
  let reason = "";
  do {
    try {
      const { status } = await ask(options.url ?? "", "GET", Number(options.requestTimeoutMillis));
      if (status === 200) return 0;
      reason = `status ${status}`;
    } catch (error) {
      reason = messageOf(error);
    }
    await sleep(clock, Number(options.periodMillis));
  } while (clock.now() < deadline);
  err(`wait: the proxy is not ready after ${options.timeoutSeconds} s: ${reason}\n`);
  return 1;
}

/** `request METHOD PATH [--debug-port N]`: asks the proxy's admin interface, for images that have no other client. */
export async function runRequest(argv: readonly string[], { out, err }: ToolOutput): Promise<number> {
  const words = argv.filter((word) => !word.startsWith("-"));
  const flag = argv.find((word) => word.startsWith("--debug-port"));
  const port = flag === undefined ? 15_000 : Number(flag.split("=")[1]);
  const [method = "GET", path = "/"] = words;
  if (!Number.isInteger(port) || words.length > 2) {
    err("request: use request METHOD PATH [--debug-port=N]\n");
    return EXIT_USAGE;
  }
  try {
    const url = `http://127.0.0.1:${port}/${path.replace(/^\//, "")}`;
    const { status, body } = await ask(url, method.toUpperCase(), 10_000);
    (status < 400 ? out : err)(body);
    return status < 400 ? 0 : 1;
  } catch (error) {
    err(`request: ${messageOf(error)}\n`);
    return 1;
  }
}

function ask(url: string, method: string, timeout: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, agent: false, timeout }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    call.on("timeout", () => call.destroy(new Error(`no answer within ${timeout} ms`)));
    call.on("error", reject);
    call.end();
  });
}
