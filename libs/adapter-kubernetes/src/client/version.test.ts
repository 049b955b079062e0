import { silentLogger } from "@lateen/kernel";
import { expect, it, onTestFinished } from "vitest";
import { testCluster } from "../testing/cluster.ts";
import { askMinor, minorOf } from "./version.ts";

it.each([
  ["1.34", 34],
  ["v1.33.1+k3s1", 33],
  ["2.0", undefined],
  [undefined, undefined],
])("reads version %s", (version, minor) => {
  expect(minorOf(version)).toBe(minor);
});

it("an API server that does not say is no failure", async () => {
  const { api, server } = await testCluster(onTestFinished);
  server.fault(() => ({ status: 500 }));
  expect(await askMinor(api, silentLogger)).toBeUndefined();
});
