import type { AgentParts } from "../agent/parts.ts";
import { appHealthPages } from "./app-health.ts";
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
    ["/stats/prometheus", statistics(parts)],
    ["/metrics", statistics(parts)],
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

function local(help: string, action: () => void): PageEntry {
  const page: Page = ({ local: isLocal, crossSite }) => {
    if (!isLocal || crossSite) return text("only from this machine\n", 403);
    action();
    return text("OK\n");
  };
  return { methods: ["POST"], help, page };
}
