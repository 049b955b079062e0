import { describe, expect, it } from "vitest";
import { type HttpSniff, sniffHttp } from "./http-sniff.ts";

describe("sniffHttp", () => {
  const cases: readonly [string, HttpSniff][] = [
    ["GET / HTTP/1.1\r\n", "http/1.1"],
    ["POST /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "http/1.1"],
    ["OPTIONS * HTTP/1.1\r\n", "http/1.1"],
    ["CONNECT a:80 HTTP/1.1\r\n", "http/1.1"],
    ["GET /old HTTP/1.0\r\n", "http/1.0"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2c"],
    ["PRI * HTTP/2.0\r\n", "incomplete"],
    ["", "incomplete"],
    ["G", "incomplete"],
    ["GET", "incomplete"],
    ["GET /long/path", "incomplete"],
    ["GET / HTTP/1.1\r", "incomplete"],
    ["GETX", "not-http"],
    ["get / HTTP/1.1\r\n", "not-http"],
    ["GET / HTTP/2.0\r\n", "not-http"],
    ["GET / HTTP/1.1\n", "not-http"],
    ["GET /\r\n", "not-http"],
    ["HELO mail.example\r\n", "not-http"],
    ["PING\r\n", "not-http"],
    ["*1\r\n$4\r\nPING\r\n", "not-http"],
    ["GET \u0000binary", "not-http"],
    ["\u0016\u0003\u0001", "not-http"],
    [`GET /${"a".repeat(9000)}`, "not-http"],
  ];
  it.each(cases)("%j is %s", (text, expected) => {
    expect(sniffHttp(Buffer.from(text, "latin1"))).toBe(expected);
  });

  it("never changes its mind about a prefix", () => {
    for (const [text, expected] of cases) {
      const bytes = Buffer.from(text, "latin1");
      for (let length = 0; length < Math.min(bytes.length, 100); length++) {
        const early = sniffHttp(bytes.subarray(0, length));
        if (early !== "incomplete") expect(early).toBe(expected);
      }
    }
  });
});
