import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, it } from "vitest";
import { deflateStart, gzipOf } from "./gzip.ts";

it("makes members that expand to beginning and rest, for every rest", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 5000 }), fc.string({ maxLength: 5000 }).map(Buffer.from)),
      fc.array(
        fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(65_534, 65_535, 65_536, 200_000).map(Buffer.alloc)),
        { minLength: 1, maxLength: 3 },
      ),
      (start, rests) => {
        const deflated = deflateStart(start);
        for (const rest of rests) {
          // Compared as bytes at once: `toEqual` looks at each of 200,000.
          expect(gunzipSync(Buffer.concat(gzipOf(deflated, rest))).equals(Buffer.concat([start, rest]))).toBe(true);
        }
      },
    ),
  );
});
