import { expect, it } from "vitest";
import { freshNetworks, network } from "./cidrs.ts";

it.each([
  ["10.1.2.3/8", "10.0.0.0/8"],
  ["10.1.2.3", "10.1.2.3/32"],
  ["10.1.2.3/0", "0.0.0.0/0"],
  ["10.255.2.3/12", "10.240.0.0/12"],
  ["255.255.255.255/1", "128.0.0.0/1"],
  ["::1", "0:0:0:0:0:0:0:1/128"],
  ["2001:DB8::1/32", "2001:db8:0:0:0:0:0:0/32"],
  ["2001:db8:ffff::/33", "2001:db8:8000:0:0:0:0:0/33"],
  ["::ffff:10.0.0.1", "0:0:0:0:0:ffff:a00:1/128"],
  ["::/0", "0:0:0:0:0:0:0:0/0"],
  ["nothing", "nothing"],
])("%s is the range %s", (text, expected) => {
  expect(network(text)).toBe(expected);
});

it("the same range is taken once, however it is written", () => {
  const taken = new Set<string>();
  expect(freshNetworks(["10.1.0.0/16", "10.1.2.3/16", "10.2.0.0/16"], taken)).toEqual(["10.1.0.0/16", "10.2.0.0/16"]);
  expect(freshNetworks(["10.2.9.9/16"], taken)).toEqual([]);
});
