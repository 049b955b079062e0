import { describe, expect, it } from "vitest";
import { parseUriSans } from "./peer.ts";

describe("parseUriSans", () => {
  it.each([
    ["", []],
    ["DNS:a, DNS:b", []],
    ["URI:spiffe://d/ns/a/sa/b", ["spiffe://d/ns/a/sa/b"]],
    ["DNS:x, URI:spiffe://d/ns/a/sa/b, DNS:y", ["spiffe://d/ns/a/sa/b"]],
    ["URI:spiffe://a, URI:spiffe://b", ["spiffe://a", "spiffe://b"]],
    ['DNS:"x, URI:spiffe://forged", URI:spiffe://true', ["spiffe://true"]],
    ['URI:"spiffe://a, URI:spiffe://b"', ["spiffe://a, URI:spiffe://b"]],
    ['DNS:"quote\\", URI:spiffe://forged", DNS:z', []],
  ])("%s", (text, expected) => {
    expect(parseUriSans(text)).toEqual(expected);
  });
});
