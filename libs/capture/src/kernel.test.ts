import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyCapture, removeCapture } from "./apply.ts";
import { defaultCapture } from "./options.ts";
import { Namespace, whyNoNamespaces } from "./testing/namespace.ts";

const reason = whyNoNamespaces();
const CLIENT = `
const [host, port] = process.argv.slice(-2);
let text = "";
require("node:net").connect(Number(port), host)
  .on("data", (bytes) => { text += bytes; })
  .on("end", () => { console.log(text); process.exit(0); })
  .on("error", (error) => { console.log(JSON.stringify({ error: error.code })); process.exit(0); });`;
const PROXY = ["setpriv", "--regid", "1337", "--clear-groups", "--"];

/** Two namespaces, tied by a veth pair; in the pod, capture and a stand-in for the proxy on 15001, 15006 and 15020. */
describe.skipIf(reason !== "")(`capture in the kernel${reason === "" ? "" : ` (not here: ${reason})`}`, () => {
  let pod: Namespace;
  let peer: Namespace;
  const options = { ...defaultCapture, excludeOutboundPorts: [7777] };
  beforeAll(async () => {
    [pod, peer] = await Promise.all([Namespace.create(), Namespace.create()]);
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", String(peer.pid));
    for (const [namespace, last] of [
      [pod, 1],
      [peer, 2],
    ] as const) {
      namespace.run("ip", "link", "set", "lo", "up");
      namespace.run("ip", "addr", "add", `10.99.0.${last}/24`, "dev", "eth0");
      namespace.run("ip", "addr", "add", `fd99::${last}/64`, "dev", "eth0", "nodad");
      namespace.run("ip", "link", "set", "eth0", "up");
    }
    await applyCapture(options, { prefix: pod.prefix });
    await pod.start(
      ...PROXY,
      process.execPath,
      join(import.meta.dirname, "testing/report-destination.ts"),
      ...["15001", "15006", "15020"],
    );
  }, 120_000);
  afterAll(() => {
    pod?.close();
    peer?.close();
  });

  const dial = (from: Namespace, host: string, port: number, prefix: readonly string[] = []): unknown =>
    JSON.parse(from.run(...prefix, process.execPath, "-e", CLIENT, host, String(port)));
  const captured = (at: number, address: string, port: number) => ({ at, sentTo: { address, port } });

  it.each([
    ["10.99.0.2", 8080],
    ["10.99.0.77", 443],
    ["fd99::2", 8080],
    ["fd99::beef", 9443],
  ])("outbound to %s:%d reaches the proxy, which learns where it was to go", (host, port) => {
    expect(dial(pod, host, port)).toEqual(captured(15_001, host, port));
  });

  it.each([
    ["10.99.0.1", 9080],
    ["fd99::1", 9080],
  ])("inbound to %s:%d likewise", (host, port) => {
    expect(dial(peer, host, port)).toEqual(captured(15_006, host, port));
  });

  it("leaves the agent's port, excluded ports and loopback alone", () => {
    expect(dial(peer, "10.99.0.1", 15_020)).toEqual(captured(15_020, "10.99.0.1", 15_020));
    expect(dial(pod, "10.99.0.2", 7777)).toEqual({ error: "ECONNREFUSED" });
    expect(dial(pod, "127.0.0.1", 15_020)).toEqual(captured(15_020, "127.0.0.1", 15_020));
  });

  it("lets the proxy's own connections go, except to the pod itself, which policy applies to", () => {
    expect(dial(pod, "10.99.0.2", 8080, PROXY)).toEqual({ error: "ECONNREFUSED" });
    expect(dial(pod, "10.99.0.1", 9080, PROXY)).toEqual(captured(15_006, "10.99.0.1", 9080));
  });

  it("can be put in twice and taken out", async () => {
    const rules = (): readonly string[] =>
      pod
        .run("iptables-save", "-t", "nat")
        .split("\n")
        .filter((line) => line.startsWith("-A"));
    const before = rules();
    await applyCapture(options, { prefix: pod.prefix });
    expect(rules()).toEqual(before);
    await removeCapture({ prefix: pod.prefix });
    expect(rules()).toEqual([]);
    expect(dial(peer, "10.99.0.1", 9080)).toEqual({ error: "ECONNREFUSED" });
    await applyCapture(options, { prefix: pod.prefix });
  });

  it("leaves what was there when the rules cannot be read", async () => {
    const before = pod.run("iptables-save", "-t", "nat");
    const broken = applyCapture({ ...options, excludeOutboundRanges: ["10.0.0.0/99"] }, { prefix: pod.prefix });
    await expect(broken).rejects.toThrow(/iptables-restore refused the capture rules/);
    expect(pod.run("iptables-save", "-t", "nat").replaceAll(/\[\d+:\d+\]|^#.*$/gm, "")).toBe(
      before.replaceAll(/\[\d+:\d+\]|^#.*$/gm, ""),
    );
  });
});
