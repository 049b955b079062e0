import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseClientHello } from "./client-hello.ts";

describe("parseClientHello", () => {
  it("answers whatever the bytes", () => {
    const record = fc
      .uint8Array({ maxLength: 300 })
      .map((body) => Uint8Array.of(22, 3, 1, body.length >> 8, body.length & 255, ...body));
    fc.assert(
      fc.property(fc.oneof(record, fc.uint8Array({ maxLength: 64 })), (bytes) => {
        const result = parseClientHello(bytes);
        expect(typeof result === "string" || typeof result.serverName === "string").toBe(true);
      }),
    );
  });

  it("never asks for more once it has refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(79), (bytes, cut) => {
        const some = parseClientHello(bytes.subarray(0, Math.min(cut, bytes.length)));
        if (some === "not-tls") expect(parseClientHello(bytes)).toBe("not-tls");
      }),
    );
  });
});
