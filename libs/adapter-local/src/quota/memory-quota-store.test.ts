import { manualClock, quotaStoreContract } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { memoryQuotaStore } from "./memory-quota-store.ts";

quotaStoreContract({ describe, it, expect }, "memory", async () => {
  const clock = manualClock();
  const store = memoryQuotaStore({ clock });
  return { stores: [store, store], pass: async (ms) => clock.advance(ms) };
});

describe("a full store", () => {
  const request = (key: string) => ({
    key,
    amount: 1,
    limit: { max: 1, windowMs: 60_000, algorithm: "fixed" } as const,
  });

  it("fails for what is new, goes on counting what it knows, and has room again when windows end", async () => {
    const clock = manualClock();
    const store = memoryQuotaStore({ clock, maxEntries: 2 });
    await store.allocate([request("a"), request("b")]);
    await expect(store.allocate([request("c")])).rejects.toMatchObject({ code: "LTN6107", retryable: true });
    expect((await store.allocate([request("a")]))[0]?.granted).toBe(0);
    clock.advance(60_000);
    expect((await store.allocate([request("c")]))[0]?.granted).toBe(1);
  });

  it("counts remembered answers as well", async () => {
    const store = memoryQuotaStore({ clock: manualClock(), maxEntries: 1 });
    const asked = { ...request("a"), dedup: { id: "1", forMs: 1_000 } };
    await expect(store.allocate([asked])).rejects.toMatchObject({ code: "LTN6107" });
  });
});
