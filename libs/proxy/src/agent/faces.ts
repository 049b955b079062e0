import type { Scope } from "@lateen/kernel";
import { adminPages } from "../admin/admin-pages.ts";
import { openFace, openSocketFace } from "../admin/http-faces.ts";
import { healthPages, statsPages, statusPages } from "../admin/status-pages.ts";
import type { AgentParts } from "./parts.ts";

/** Ports the agent's own HTTP faces got; undefined where one is not opened. */
export interface AgentPorts {
  readonly admin: number | undefined;
  readonly status: number | undefined;
  readonly health: number | undefined;
  readonly stats: number | undefined;
  readonly dns?: number | undefined;
}

/** Opens admin, agent status, health and statistics faces. @throws LTN5003 for an admin address that is not loopback. */
export async function openFaces(scope: Scope, parts: AgentParts, drain: () => Promise<void>): Promise<AgentPorts> {
  const { config, deps, bootstrap } = parts;
  const admin = adminPages(parts, drain);
  const fromBootstrap = bootstrap?.content.admin;
  const adminPort = config.adminPort ?? fromBootstrap?.port;
  const adminAddress = config.adminAddress ?? fromBootstrap?.address ?? "127.0.0.1";
  const statusAddress = config.statusAddress ?? adminAddress;
  const open = async (
    name: string,
    port: number | undefined,
    pages: Parameters<typeof openFace>[1]["pages"],
  ): Promise<number | undefined> => {
    if (port === undefined) return undefined;
    const isAdmin = name === "admin";
    const address = isAdmin ? adminAddress : statusAddress;
    return await openFace(scope, { name, address, port, pages, guarded: isAdmin }, deps.logger);
  };
  const [adminBound, status, health, stats] = await Promise.all([
    open("admin", adminPort, admin),
    open("status", config.statusPort, statusPages(parts, drain)),
    open("health", config.healthPort, healthPages(parts)),
    open("stats", config.statsPort, statsPages(parts)),
  ]);
  if (config.adminSocket !== undefined) await openSocketFace(scope, config.adminSocket, admin, deps.logger);
  return { admin: adminBound, status, health, stats };
}
