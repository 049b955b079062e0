import { describe, expect, it } from "vitest";
import { isInCidr } from "../validation/ip.ts";
import { meshNetworksFromText, networkOfAddress } from "./networks.ts";

function networks(text: string) {
  const read = meshNetworksFromText(text, "meshNetworks");
  if (!read.ok) throw new Error(read.error.map(({ message }) => message).join("; "));
  return read.value;
}

describe("the network of an address", () => {
  const all = networks(`networks:
  wide: { endpoints: [{ fromCidr: 10.0.0.0/8 }] }
  narrow: { endpoints: [{ fromCidr: 10.1.0.0/16 }, { fromCidr: "2001:db8::/32" }] }
  cluster: { endpoints: [{ fromRegistry: east }] }`);
  it.each([
    ["10.1.2.3", "west", "narrow"],
    ["10.2.2.3", "west", "wide"],
    ["11.2.2.3", "west", ""],
    ["2001:db8:1::5", "west", "narrow"],
    ["db.example.com", "west", ""],
    ["10.1.2.3", "east", "cluster"],
    ["db.example.com", "east", "cluster"],
  ])("%s in cluster %s is in %j", (address, registry, expected) => {
    expect(networkOfAddress(all, address, registry)).toBe(expected);
  });

  it("is none without networks", () => {
    expect(networkOfAddress(networks(""), "10.1.2.3", "east")).toBe("");
  });
});

describe("isInCidr", () => {
  it.each([
    ["10.0.0.255", "10.0.0.0/24", true],
    ["10.0.1.0", "10.0.0.0/24", false],
    ["10.0.0.1", "10.0.0.1/32", true],
    ["1.2.3.4", "0.0.0.0/0", true],
    ["::1", "0.0.0.0/0", false],
    ["1.2.3.4", "::/0", false],
    ["2001:db8::ff", "2001:0db8:0:0:0:0:0:0/120", true],
    ["2001:db8::1:0", "2001:db8::/112", false],
    ["::ffff:10.0.0.1", "::ffff:10.0.0.0/120", true],
    ["no address", "10.0.0.0/8", false],
    ["10.0.0.1", "10.0.0.0", false],
  ])("%s in %s: %s", (address, range, expected) => {
    expect(isInCidr(address, range)).toBe(expected);
  });
});
