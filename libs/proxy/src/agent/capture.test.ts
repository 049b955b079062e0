import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadCapture } from "./capture.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lateen-capture-"));
});
afterEach(() => rm(directory, { recursive: true }));

const GOOD = {
  capture: {
    mode: "proxy-env",
    address: "127.64.0.1",
    inbound: [{ containerPort: 9080, appAddress: "127.0.0.1", appPort: 40001 }],
    explicitProxy: { address: "127.64.0.1", port: 15001 },
    services: [{ address: "127.65.0.1", port: 3306, host: "mysql.shop.svc.cluster.local", destinationPort: 3306 }],
  },
  bindMap: [{ port: 80, address: "127.0.0.1", bindPort: 8080 }],
  bindAddress: "127.64.0.1",
  lowPortOffset: 10_000,
};
const load = async (content: string) => {
  const file = join(directory, "capture.json");
  await writeFile(file, content);
  return await loadCapture(file);
};

it("reads what the supervisor writes", async () => expect(await load(JSON.stringify(GOOD))).toEqual(GOOD));

it("reads what is captured by the kernel", async () => {
  const capture = { mode: "kernel", addresses: ["10.0.0.1"], inbound: [], virtualRanges: ["10.96.0.0/12"] };
  expect(await load(JSON.stringify({ ...GOOD, capture }))).toEqual({ ...GOOD, capture });
  const bad = { ...capture, virtualRanges: ["10.96.0.0/40"] };
  await expect(load(JSON.stringify({ ...GOOD, capture: bad }))).rejects.toThrow(
    "capture.virtualRanges[0] must be an address range",
  );
});

it("follows the interception mode without a file", async () => {
  expect(await loadCapture(undefined, "REDIRECT")).toMatchObject({
    capture: { mode: "kernel" },
    bindAddress: "0.0.0.0",
  });
  expect(await loadCapture(undefined, "NONE")).toMatchObject({ capture: { mode: "none" } });
});

it("captures nothing without a file", async () => {
  expect(await loadCapture(undefined)).toMatchObject({ capture: { mode: "none" }, bindAddress: "0.0.0.0" });
});

it.each<[string, unknown, string]>([
  ["no JSON", undefined, "cannot use"],
  ["an unknown mode", { ...GOOD, capture: { mode: "magic" } }, "capture.mode must be"],
  ["a host name for an address", { ...GOOD, bindAddress: "localhost" }, "bindAddress must be an IP address"],
  [
    "a port too high",
    { ...GOOD, bindMap: [{ port: 80, address: "127.0.0.1", bindPort: 70_000 }] },
    "bindMap[0].bindPort must be",
  ],
  ["a list that is none", { ...GOOD, capture: { ...GOOD.capture, inbound: {} } }, "capture.inbound must be a list"],
])("refuses %s", async (_title, content, reason) => {
  await expect(load(content === undefined ? "{" : JSON.stringify(content))).rejects.toMatchObject({
    code: "LTN5001",
    message: expect.stringContaining(reason),
  });
});
