import { expect, it } from "vitest";
import { Http1Head } from "../http1/head.ts";
import { parseRequestHead } from "../http1/parse-head.ts";
import { isGrpcType } from "./grpc-type.ts";

it.each([
  ["application/grpc", true],
  ["application/grpc+proto", true],
  ["application/grpc-web", false],
  ["application/grpcx", false],
  ["application/json", false],
])("%s: %s", (type, grpc) => {
  const bytes = Buffer.from(`POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\n\r\n`);
  const head = new Http1Head();
  const end = parseRequestHead(bytes, 0, bytes.length, head);
  head.adopt(bytes, 0);
  expect(end).toBe(bytes.length);
  expect(isGrpcType(head)).toBe(grpc);
});
