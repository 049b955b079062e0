import type { AgentParts } from "../agent/parts.ts";
import { appHealthPages } from "./app-health.ts";
import { scrapeApp } from "./app-metrics.ts";
import { metrics, type Page, type PageEntry, type Pages, text } from "./page.ts";
import { prometheusText } from "./stats-page.ts";

/** 15021: readiness for probes and load balancers. */
export function healthPages(parts: AgentParts): Pages {
  return new Map([["/healthz/ready", ready(parts)]]);
}

/** 15090: statistics for scrapers. */
export function statsPages(parts: AgentParts): Pages {
  return new Map([["/stats/prometheus", statistics(parts)]]);
}

/** 15020: the agent's status. What changes something is for this machine only. */
export function statusPages(parts: AgentParts, drain: () => Promise<void>): Pages {
  return new Map<string, PageEntry>([
    ["/healthz/ready", ready(parts)],
    ["/stats/prometheus", mergedStatistics(parts)],
    ["/metrics", mergedStatistics(parts)],
    ["/drain", local("stops accepting, lets requests finish", () => void drain())],
    ...appHealthPages(parts.config.appProbes ?? new Map(), parts.config.facts.instanceIp),
    ["/quitquitquit", local("drains and ends the process", () => void setImmediate(parts.deps.quit))],
  ]);
}

function ready({ status }: AgentParts): PageEntry {
  const page: Page = () => {
    const reason = status.notReady();
    return reason === undefined ? text("") : text(`${reason}\n`, 503);
  };
  return { methods: ["GET"], help: "200 when traffic may come", page };
}

function statistics(parts: AgentParts): PageEntry {
  return { methods: ["GET"], help: "counters in Prometheus text", page: () => metrics(prometheusText(parts)) };
}

/** The proxy's statistics, and the application's after them where its annotations say that it has some. */
function mergedStatistics(parts: AgentParts): PageEntry {
  const { config, deps, status } = parts;
  const { appMetrics } = config;
  if (appMetrics === undefined) return statistics(parts);
  const page: Page = async () => {
    const { text: ofApp, failure } = await scrapeApp(appMetrics);
    if (failure !== undefined) {
      status.failedAppScrapes++;
      deps.logger.warn({ event: "app_metrics.failed", port: appMetrics.port, path: appMetrics.path, reason: failure });
    }
    return metrics((ofApp === "" ? prometheusText(parts) : withoutProcess(prometheusText(parts))) + ofApp);
  };
  return { methods: ["GET"], help: "counters of proxy and application in Prometheus text", page };
}

/** What client libraries tell of a process is the application's then. */
function withoutProcess(text: string): string {
  return text.replaceAll(/^(# (HELP|TYPE) )?process_.*\n/gm, "");
}

function local(help: string, action: () => void): PageEntry {
  const page: Page = ({ local: isLocal, crossSite }) => {
    if (!isLocal || crossSite) return text("only from this machine\n", 403);
    action();
    return text("OK\n");
  };
  return { methods: ["POST"], help, page };
}
