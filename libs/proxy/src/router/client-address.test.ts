import { describe, expect, it } from "vitest";
import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import { EditList } from "../http1/edit-list.ts";
import { Http1Head } from "../http1/head.ts";
import { parseRequestHead } from "../http1/parse-head.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import { prepareRequest } from "./request-head.ts";

const PEER = "10.0.0.1";

/** The client's address as a proxy inside the mesh takes it from these lines. */
function addressOf(lines: string): string {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\n${lines}\r\n`, "latin1");
  const head = new Http1Head();
  expect(parseRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  head.adopt(bytes, 0);
  const info = { sourceAddress: PEER, secure: false } as ConnectionInfo;
  const spec = { useRemoteAddress: false, xffTrustedHops: 0, generateRequestId: false } as HttpConnectionManagerSpec;
  const request = { head, requestEdits: new EditList(head), info, remoteAddress: "", requestId: "" };
  prepareRequest(request, { spec, trustsClient: true, uuid: () => "" });
  return request.remoteAddress;
}

describe("the client's address inside the mesh", () => {
  it.each([
    ["", PEER],
    ["x-forwarded-for: 1.2.3.4\r\n", "1.2.3.4"],
    ["X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n", "5.6.7.8"],
    ["x-forwarded-for: 1.2.3.4,5.6.7.8 \r\n", "5.6.7.8"],
    ["x-forwarded-for: 1.2.3.4\r\nx-other: a\r\nx-forwarded-for: 5.6.7.8\r\n", "5.6.7.8"],
    ["x-forwarded-for: 2001:db8::Ff\r\n", "2001:db8::Ff"],
    ["x-forwarded-for: unknown, 1.2.3.4\r\n", "1.2.3.4"],
    // Not an address: the connection's counts.
    ["x-forwarded-for: 1.2.3.4, unknown\r\n", PEER],
    ["x-forwarded-for: 1.2.3.4,\r\n", PEER],
    ["x-forwarded-for: 1.2.3.4\r\nx-forwarded-for: \r\n", PEER],
    ["x-forwarded-for: x1.2.3.4\r\n", PEER],
    ["x-forwarded-for: evil 1.2.3.4\r\n", PEER],
    ["x-forwarded-for: 1\r\n", PEER],
    [`x-forwarded-for: ${"1".repeat(46)}\r\n`, PEER],
    [`x-forwarded-for: ${"1".repeat(45)}\r\n`, "1".repeat(45)],
  ])("of %j is %j", (lines, expected) => {
    expect(addressOf(lines)).toBe(expected);
  });
});
