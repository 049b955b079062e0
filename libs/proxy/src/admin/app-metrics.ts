import { request } from "node:http";
import { messageOf } from "@lateen/kernel";

/** Where the application serves metrics, as its pod's annotations said before the proxy's took their place. */
export interface AppMetrics {
  readonly port: number;
  readonly path: string;
}

/** What came of asking the application. */
export interface AppScrape {
  /** Prometheus text; empty when the application did not give any. */
  readonly text: string;
  readonly failure: string | undefined;
}

/** A scrape of Prometheus takes 10 s by default; the proxy's own part must come through in any case. */
const TIMEOUT_MS = 5000;
const MAX_BYTES = 16 * 1024 * 1024;
/** The text format only: two OpenMetrics texts cannot be joined. */
const ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1";

/** Reads the injector's `ISTIO_PROMETHEUS_ANNOTATIONS`. Undefined: there is nothing to be scraped. */
export function parseAppMetrics(source: string): AppMetrics | undefined {
  if (source === "") return undefined;
  let written: { scrape?: unknown; port?: unknown; path?: unknown };
  try {
    written = Object(JSON.parse(source)) as typeof written;
  } catch {
    return undefined;
  }
  if (written.scrape === "false") return undefined;
  const port = Number(written.port ?? 80);
  const path = typeof written.path === "string" && written.path !== "" ? written.path : "/metrics";
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  return { port, path: path.startsWith("/") ? path : `/${path}` };
}

/** Asks the application on its loopback address for its metrics, within bounds of time and size; redirects are not followed. */
export function scrapeApp({ port, path }: AppMetrics, host = "127.0.0.1", timeoutMs = TIMEOUT_MS): Promise<AppScrape> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const failed = (reason: string): void =>
      resolve({ text: "", failure: signal.aborted ? `no answer within ${timeoutMs} ms` : reason });
    const call = request({ host, port, path, agent: false, signal, headers: { accept: ACCEPT, connection: "close" } });
    call.once("response", (response) => {
      const { statusCode = 0 } = response;
      if (statusCode !== 200) {
        failed(`GET ${path} answered ${statusCode}`);
        call.destroy();
        return;
      }
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes > MAX_BYTES) call.destroy(new Error(`more than ${MAX_BYTES} bytes`));
        else parts.push(part);
      });
      response.once("end", () =>
        resolve({ text: joinable(Buffer.concat(parts).toString("utf8")), failure: undefined }),
      );
      response.once("error", (error) => failed(messageOf(error)));
    });
    call.once("error", (error) => failed(messageOf(error)));
    call.once("close", () => failed("the connection was closed"));
    call.end();
  });
}

/** Whole lines, without OpenMetrics' end mark. */
function joinable(text: string): string {
  const body = text.replace(/(^|\n)# EOF\s*$/, "$1");
  return body === "" || body.endsWith("\n") ? body : `${body}\n`;
}
