import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileCidr, parseIp } from "./ip.ts";

const text = (ip: string) => parseIp(ip)?.join(".");

describe("parseIp", () => {
  it.each([
    ["10.0.0.1", "10.0.0.1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::1", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1"],
    ["fe80::1%eth0", "254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.1"],
    ["2001:db8::", "32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.0"],
    ["1:2:3:4:5:6:7:8", "0.1.0.2.0.3.0.4.0.5.0.6.0.7.0.8"],
  ])("reads %s", (ip, bytes) => {
    expect(text(ip)).toBe(bytes);
  });

  it.each([
    "",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "1.2.3.4.5",
    "::1::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "g::",
    "12345::",
    "::1.2.3",
    "1:2:3:4:5:6:7::8",
  ])("refuses %j", (ip) => {
    expect(parseIp(ip)).toBeUndefined();
  });
});

describe("compileCidr", () => {
  it.each([
    ["10.0.0.0/8", "10.255.0.1", true],
    ["10.0.0.0/8", "11.0.0.1", false],
    ["10.0.0.128/25", "10.0.0.127", false],
    ["10.0.0.128/25", "10.0.0.129", true],
    ["10.0.0.1", "10.0.0.1", true],
    ["10.0.0.1", "10.0.0.2", false],
    ["0.0.0.0/0", "1.2.3.4", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "::1", true],
    ["::/0", "1.2.3.4", false],
    ["10.0.0.0/8", "::ffff:10.1.1.1", true],
    ["fd00::/8", "fd12::1", true],
    ["fd00::/8", "fe00::1", false],
  ])("%s contains %s: %s", (cidr, ip, expected) => {
    expect(compileCidr(cidr).contains(parseIp(ip))).toBe(expected);
  });

  it("contains no address that could not be read", () => {
    expect(compileCidr("0.0.0.0/0").contains(undefined)).toBe(false);
  });

  it.each(["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/1e1", "x/8", "::/129"])("refuses %s", (cidr) => {
    expect(() => compileCidr(cidr)).toThrow(expect.objectContaining({ code: "LTN5902" }));
  });

  it("agrees with comparing the leading bits", () => {
    const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
    const bits = (ip: readonly number[]) => ip.map((byte) => byte.toString(2).padStart(8, "0")).join("");
    fc.assert(
      fc.property(address, address, fc.nat(32), (network, ip, length) => {
        expect(compileCidr(`${network.join(".")}/${length}`).contains(parseIp(ip.join(".")))).toBe(
          bits(network).slice(0, length) === bits(ip).slice(0, length),
        );
      }),
    );
  });
});
