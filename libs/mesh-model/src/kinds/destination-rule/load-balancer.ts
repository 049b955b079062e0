import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkDuration } from "../../validation/common.ts";
import { isHeaderName } from "../../validation/headers.ts";
import type { localityLbSetting, trafficPolicy } from "./schema.ts";

type LoadBalancer = NonNullable<Infer<typeof trafficPolicy>["loadBalancer"]>;
type LocalitySetting = Infer<typeof localityLbSetting>;

/** LoadBalancerSettings. */
export function checkLoadBalancer(settings: LoadBalancer | undefined, check: Check): void {
  if (settings === undefined) return;
  const { simple, consistentHash, warmup, warmupDurationSecs } = settings;
  if (simple !== undefined && consistentHash !== undefined) {
    check.error("simple and consistentHash exclude each other", { code: codes.conflict });
  }
  if (Object.keys(settings).length === 0) check.error("a load balancer needs at least one setting");
  checkConsistentHash(consistentHash, check.at("consistentHash"));
  checkLocalitySetting(settings.localityLbSetting, check.at("localityLbSetting"));
  checkLocalitySetting(settings.zoneAwareLbSetting, check.at("zoneAwareLbSetting"));
  if (settings.zoneAwareLbSetting?.enabled && settings.localityLbSetting !== undefined) {
    check
      .at("localityLbSetting")
      .error("localityLbSetting and zoneAwareLbSetting exclude each other", { code: codes.conflict, part: "key" });
  }
  checkDuration(warmup?.duration, check.at("warmup", "duration"));
  checkDuration(warmupDurationSecs, check.at("warmupDurationSecs"), true);
  if (warmup !== undefined && warmupDurationSecs !== undefined) {
    check.at("warmupDurationSecs").error("warmup and warmupDurationSecs exclude each other", { code: codes.conflict });
  }
  const warms = warmup !== undefined || warmupDurationSecs !== undefined;
  if (warms && (consistentHash !== undefined || simple === "RANDOM" || simple === "PASSTHROUGH")) {
    check.warn("warm-up needs simple ROUND_ROBIN or LEAST_REQUEST; it has no effect here");
  }
}

function checkConsistentHash(settings: LoadBalancer["consistentHash"], check: Check): void {
  if (settings === undefined) return;
  const keys = (["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"] as const).filter(
    (key) => settings[key] !== undefined,
  );
  if (keys.length !== 1) {
    const found = keys.length === 0 ? "none is there" : `${keys.join(" and ")} are there`;
    check.error(
      `consistentHash needs exactly one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName; ${found}`,
      { code: codes.conflict },
    );
  }
  const { httpHeaderName, httpCookie, ringHash, maglev, minimumRingSize } = settings;
  if (httpHeaderName !== undefined && !isHeaderName(httpHeaderName)) {
    check.at("httpHeaderName").error(`"${httpHeaderName}" is not a header name`);
  }
  if (settings.httpQueryParameterName === "")
    check.at("httpQueryParameterName").error("a query parameter needs a name");
  if (httpCookie !== undefined && !isHeaderName(httpCookie.name)) {
    check.at("httpCookie", "name").error(`"${httpCookie.name}" is not a cookie name`);
  }
  checkDuration(httpCookie?.ttl, check.at("httpCookie", "ttl"), true);
  for (const [index, { name }] of (httpCookie?.attributes ?? []).entries()) {
    if (name && isHeaderName(name)) continue;
    check.at("httpCookie", "attributes", index).error("an attribute needs a name", { code: codes.missingField });
  }
  for (const text of [
    httpCookie?.path,
    ...(httpCookie?.attributes ?? []).flatMap(({ name, value }) => [name, value]),
  ]) {
    if (text !== undefined && /[^ -~]|;/.test(text)) check.at("httpCookie").error(`"${text}" cannot stand in a cookie`);
  }
  if (ringHash !== undefined && maglev !== undefined) {
    check.at("maglev").error("ringHash and maglev exclude each other", { code: codes.conflict, part: "key" });
  }
  if (maglev?.tableSize !== undefined && (maglev.tableSize > 5_000_011 || !isPrime(maglev.tableSize))) {
    check.at("maglev", "tableSize").error("tableSize must be a prime number up to 5000011");
  }
  if (minimumRingSize !== undefined) {
    check
      .at("minimumRingSize")
      .warn("minimumRingSize is deprecated", { code: "IST0002", part: "key", hint: "use ringHash.minimumRingSize" });
  }
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return value > 1;
}

/** LocalityLoadBalancerSetting. */
export function checkLocalitySetting(
  setting: Pick<LocalitySetting, "distribute" | "failover" | "failoverPriority"> | undefined,
  check: Check,
): void {
  if (setting === undefined) return;
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  if (distribute.length > 0 && (failover.length > 0 || failoverPriority.length > 0)) {
    check.error("distribute excludes failover and failoverPriority", { code: codes.conflict });
  }
  checkDistribute(distribute, check);
  for (const [index, { from = "", to = "" }] of failover.entries()) {
    const at = check.at("failover", index);
    if (from === "" || to === "") at.error("from and to are both required", { code: codes.missingField });
    else if (from === to) at.error("from and to must differ");
    for (const region of [from, to]) {
      if (region.includes("/") || region.includes("*")) at.error(`"${region}" must be a region, without zone or "*"`);
    }
    if (failover.findIndex((entry) => entry.from === from) !== index) {
      at.at("from").error(`region "${from}" fails over twice`, { code: codes.duplicate });
    }
  }
  for (const [index, label] of failoverPriority.entries()) {
    const name = label.split("=", 1)[0] ?? "";
    if (name === "") check.at("failoverPriority", index).error("a label needs a name");
    if (failoverPriority.findIndex((other) => other.split("=", 1)[0] === name) !== index) {
      check.at("failoverPriority", index).error(`label "${name}" is written twice`, { code: codes.duplicate });
    }
  }
}

function checkDistribute(distribute: NonNullable<LocalitySetting["distribute"]>, check: Check): void {
  for (const [index, { from, to = {} }] of distribute.entries()) {
    const at = check.at("distribute", index);
    checkLocality(from ?? "", at.at("from"));
    const total = Object.values(to).reduce((sum, weight) => sum + weight, 0);
    if (total !== 100) at.at("to").error(`the weights must add up to 100, not ${total}`);
    for (const [locality, weight] of Object.entries(to)) {
      checkLocality(locality, at.at("to", locality));
      if (weight === 0) at.at("to", locality).error("a weight must be more than 0");
    }
  }
}

/** `region`, `region/zone`, `region/zone/subzone`, or `*` for the rest. */
function checkLocality(text: string, check: Check): void {
  const parts = text.split("/");
  const star = parts.findIndex((part) => part === "*" || part === "");
  const legal =
    parts.length <= 3 &&
    (star < 0 || (parts[star] === "*" && star === parts.length - 1)) &&
    parts.every((part) => part === "*" || !part.includes("*"));
  if (!legal) check.error(`"${text}" is not a locality such as "region/zone/*"`);
}
