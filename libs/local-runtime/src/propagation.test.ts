import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { Propagation } from "./propagation.ts";

/** What pilot says, as a test sets it. */
function setUp() {
  const clock = manualClock();
  const end = new AbortController();
  const mesh = { version: "1", synced: true, asked: 0, serving: ["default/a"] };
  const propagation = new Propagation(
    {
      controlPlane: {
        async read() {
          mesh.asked++;
          const proxies = [{ namespace: "default", pod: "a", synced: mesh.synced }];
          return { registryVersion: mesh.version, proxies };
        },
      },
      pods: { serving: () => mesh.serving },
    },
    clock,
    end.signal,
  );
  /** What became of something so far. */
  const outcome = (promise: Promise<unknown>) => {
    const seen: unknown[] = [];
    void promise.then((value) => seen.push(value));
    return seen;
  };
  return { clock, end, mesh, propagation, outcome };
}

describe("how far a state of the registry has come", () => {
  it("is asked until all proxies that serve have it, once for all who wait", async () => {
    const { clock, mesh, propagation, outcome } = setUp();
    const [second, third] = [outcome(propagation.reached("2", 5_000)), outcome(propagation.reached("3", 5_000))];
    await clock.advanceAsync(200);
    expect([second, third]).toEqual([[], []]);
    const { asked } = mesh;
    mesh.version = "2";
    await clock.advanceAsync(40);
    expect([second, third, mesh.asked - asked]).toEqual([[true], [], 1]);
    Object.assign(mesh, { version: "4", synced: false });
    await clock.advanceAsync(40);
    expect(third).toEqual([]);
    // The one that is behind is gone.
    mesh.serving = [];
    await clock.advanceAsync(40);
    expect(third).toEqual([true]);
    const after = mesh.asked;
    await clock.advanceAsync(1_000);
    expect(mesh.asked).toBe(after);
  });

  it.each<[string, (set: ReturnType<typeof setUp>) => Promise<void>]>([
    ["its limit", ({ clock }) => clock.advanceAsync(5_040)],
    [
      "the end of the mesh",
      async ({ clock, end }) => {
        end.abort();
        await clock.advanceAsync(40);
      },
    ],
  ])("is not waited for beyond %s", async (_, pass) => {
    const set = setUp();
    const seen = set.outcome(set.propagation.reached("2", 5_000));
    await set.clock.advanceAsync(4_900);
    expect(seen).toEqual([]);
    await pass(set);
    expect(seen).toEqual([false]);
  });

  it.each([
    ["acked at once", "7", [400, 600]],
    ["never acked", "6", [4_900, 5_100]],
  ] as const)("decides when an application may be ended: %s", async (_, version, [before, after]) => {
    const { clock, mesh, propagation, outcome } = setUp();
    mesh.version = version;
    const seen = outcome(propagation.deregistered({ version: "7", write: async () => {} }, [], {}));
    await clock.advanceAsync(before);
    expect(seen).toEqual([]);
    await clock.advanceAsync(after - before);
    expect(seen).toHaveLength(1);
  });
});
