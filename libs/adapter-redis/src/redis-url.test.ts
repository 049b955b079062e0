import { describe, expect, it } from "vitest";
import { parseRedisUrl } from "./redis-url.ts";

const plain = { host: "r", port: 6379, tls: false, username: undefined, database: 0 };

describe("parseRedisUrl", () => {
  it.each([
    ["redis://r", plain],
    ["redis://r/", plain],
    ["redis://r:7000/3", { ...plain, port: 7000, database: 3 }],
    ["rediss://mixer@r", { ...plain, tls: true, username: "mixer" }],
    ["redis://[::1]:1", { ...plain, host: "::1", port: 1 }],
  ])("reads %s", (text, address) => {
    expect(parseRedisUrl(text)).toEqual(address);
  });

  it.each([
    ["r:6379", "does not begin"],
    ["http://r", "does not begin"],
    ["redis://", "no host"],
    ["redis://:secret@r", "password"],
    ["redis://r/x", "database"],
    ["redis://r?family=6", "parameters"],
  ])("refuses %s", (text, reason) => {
    expect(() => parseRedisUrl(text)).toThrow(reason);
    expect(() => parseRedisUrl(text)).toThrow(expect.objectContaining({ code: "LTN6502" }));
  });

  it("does not repeat a password", () => {
    expect(() => parseRedisUrl("redis://:hunter2@r")).toThrow(expect.not.stringContaining("hunter2"));
  });
});
