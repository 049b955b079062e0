import { expect, it } from "vitest";
import { parseSockaddr } from "./original-destination.ts";

const sockaddr6 = (hex: string): Buffer => Buffer.from(`0a00240500000000${hex.replaceAll(" ", "")}00000000`, "hex");

it("reads both kinds of address", () => {
  const v4 = Buffer.concat([Buffer.from("0200 1f90 0a63004d".replaceAll(" ", ""), "hex"), Buffer.alloc(20)]);
  expect(parseSockaddr(v4, 4)).toEqual({ address: "10.99.0.77", port: 8080 });
  expect(parseSockaddr(sockaddr6("fd99 0000 0000 0000 0000 0000 0000 beef"), 6)).toEqual({
    address: "fd99::beef",
    port: 9221,
  });
  expect(parseSockaddr(sockaddr6("0000 0000 0000 0000 0000 0000 0000 0001"), 6).address).toBe("::1");
  expect(parseSockaddr(sockaddr6("2001 0db8 0000 0001 0001 0001 0001 0001"), 6).address).toBe("2001:db8:0:1:1:1:1:1");
  expect(parseSockaddr(sockaddr6("fd00 0000 0000 0001 0000 0000 0000 0000"), 6).address).toBe("fd00:0:0:1::");
});
