import { manualClock } from "@lateen/test-support";
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { xdsTypes } from "../resource-types.ts";
import { DeltaPeer } from "../testing/delta-peer.ts";
import { FakeSource } from "../testing/fake-source.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

const NAMES = ["a", "b", "c", "d", "e", "f"] as const;
const world = fc.dictionary(fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 3 }).map(String));
type State = Readonly<Record<string, string>>;

/** What turns one full state into another, in the words of `describeResponse`, in order. */
function differenceOf(before: State, after: State): readonly string[] {
  const changed = Object.entries(after).filter(([name, version]) => before[name] !== version);
  const gone = Object.keys(before).filter((name) => after[name] === undefined);
  return [...changed.map(([name, version]) => `+${name}@${version}`), ...gone.map((name) => `-${name}`)].sort();
}

/** What responses said, in order of name. */
const said = (responses: readonly string[]) => responses.flatMap((one) => one.split(" ").slice(1)).sort();

it("a delta is the difference of the full states, whatever was sent before and in however many parts", () => {
  fc.assert(
    fc.property(
      fc.array(world, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(Number.MAX_SAFE_INTEGER, 1, 200),
      world,
      (worlds, responseBytes, held) => {
        const source = new FakeSource();
        const [first = {}, ...rest] = worlds;
        source.set({ [xdsTypes.cluster]: first });
        const peer = new DeltaPeer(source, manualClock(), { responseBytes });
        // A client that comes back with what it holds is where it was.
        peer.subscribe("C", [], held);
        peer.stream.introduced();
        expect(said(peer.drain())).toEqual(differenceOf(held, first));
        let before = first;
        for (const after of rest) {
          source.set({ [xdsTypes.cluster]: after });
          peer.stream.push();
          expect(said(peer.drain())).toEqual(differenceOf(before, after));
          before = after;
        }
        const unchanged = new DeltaPeer(source, manualClock(), { responseBytes });
        unchanged.subscribe("C", [], before);
        expect(said(unchanged.drain())).toEqual([]);
      },
    ),
    { numRuns: 300 },
  );
});
