import { hashName } from "@lateen/traffic";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Http1Head } from "./head.ts";
import { INCOMPLETE, MALFORMED, parseRequestHead, TOO_LARGE } from "./parse-head.ts";

const TOKEN_CHARS = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"];
const VALUE_CHARS = [..." \tabcXYZ019,;:=\"'/()<>@[]{}\\\xe4\xff"];

const token = fc.string({ unit: fc.constantFrom(...TOKEN_CHARS), minLength: 1, maxLength: 12 });
const value = fc.string({ unit: fc.constantFrom(...VALUE_CHARS), maxLength: 24 });
const path = fc
  .string({ unit: fc.constantFrom(..."abc019/?&=%-._~!$'()*+,;:@"), maxLength: 20 })
  .map((text) => `/${text}`);
const field = fc.tuple(
  token.filter((name) => !/^(host|content-length|transfer-encoding|connection|te|upgrade|keep-alive)$/i.test(name)),
  value,
);

interface Sound {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly text: string;
}

const sound: fc.Arbitrary<Sound> = fc
  .record({
    method: token.filter((method) => method !== "CONNECT"),
    target: path,
    host: fc.constantFrom("a", "shop.example:80", "[::1]:8080", "1.2.3.4"),
    fields: fc.array(field, { maxLength: 12 }),
    ows: fc.constantFrom("", " ", "\t ", "  "),
  })
  .map(({ ows, ...head }) => {
    const lines = head.fields.map(([name, text]) => `${name}:${ows}${text}${ows}\r\n`).join("");
    return { ...head, text: `${head.method} ${head.target} HTTP/1.1\r\nHost: ${head.host}\r\n${lines}\r\n` };
  });

function parse(text: string): { readonly result: number; readonly head: Http1Head } {
  const head = new Http1Head();
  const bytes = Buffer.from(text, "latin1");
  const result = parseRequestHead(bytes, 0, bytes.length, head);
  if (result > 0) head.adopt(bytes, 0);
  return { result, head };
}

describe("parseRequestHead", () => {
  it("reads every sound head as it was written", () => {
    fc.assert(
      fc.property(sound, ({ method, target, host, fields, text }) => {
        const { result, head } = parse(text);
        expect(result).toBe(text.length);
        expect(head.methodText).toBe(method);
        expect(head.pathText).toBe(target);
        expect(head.authorityText).toBe(host);
        expect(head.count).toBe(fields.length + 1);
        fields.forEach(([name, written], i) => {
          expect(head.nameText(i + 1)).toBe(name.toLowerCase());
          expect(head.valueText(i + 1)).toBe(written.replace(/^[ \t]+|[ \t]+$/g, ""));
          expect(head.nameHashes[i + 1]).toBe(hashName(name));
        });
      }),
    );
  });

  it("is incomplete for every proper beginning, and does not look behind the head", () => {
    fc.assert(
      fc.property(sound, fc.nat(), fc.string({ maxLength: 20 }), ({ text }, cut, behind) => {
        expect(parse(text.slice(0, cut % text.length)).result).toBe(INCOMPLETE);
        expect(parse(text + behind).result).toBe(text.length);
      }),
    );
  });

  it("finds a head anywhere in a buffer", () => {
    fc.assert(
      fc.property(sound, fc.nat({ max: 50 }), ({ text, target }, before) => {
        const bytes = Buffer.from(`${"x".repeat(before)}${text}`, "latin1");
        const head = new Http1Head();
        expect(parseRequestHead(bytes, before, bytes.length, head)).toBe(bytes.length);
        head.adopt(bytes, before);
        expect(head.pathText).toBe(target);
      }),
    );
  });

  it("never takes more than a strict reader of strings does", () => {
    const mutation = fc.record({
      at: fc.nat(),
      what: fc.constantFrom(
        "\r",
        "\n",
        "\0",
        " ",
        "\t",
        ":",
        "#",
        "\x7f",
        "\r\n",
        "\r\n ",
        "\x0b",
        "H",
        "Host: b\r\n",
        "",
      ),
      drop: fc.nat({ max: 3 }),
    });
    fc.assert(
      fc.property(sound, fc.array(mutation, { minLength: 1, maxLength: 3 }), ({ text }, mutations) => {
        let mutated = text;
        for (const { at, what, drop } of mutations) {
          const place = at % (mutated.length + 1);
          mutated = mutated.slice(0, place) + what + mutated.slice(place + drop);
        }
        const { result, head } = parse(mutated);
        const naive = strictly(mutated);
        if (result > 0) {
          expect(naive).toBeDefined();
          expect(head.authorityText).toBe(naive?.host);
          expect(head.pathText).toBe(naive?.target);
        } else expect([INCOMPLETE, MALFORMED, TOO_LARGE, -3]).toContain(result);
      }),
      { numRuns: 1000 },
    );
  });

  it("survives any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const head = new Http1Head();
        expect(parseRequestHead(bytes, 0, bytes.length, head)).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

/** The same grammar written with expressions, for origin-form and absolute-form targets. */
function strictly(text: string): { readonly host: string; readonly target: string } | undefined {
  const end = text.indexOf("\r\n\r\n", text.startsWith("\r\n") ? 2 : 0);
  if (end < 0) return undefined;
  const [requestLine = "", ...lines] = text.slice(0, end).replace(/^\r\n/, "").split("\r\n");
  const request = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ (\S+) HTTP\/1\.[01]$/.exec(requestLine);
  const target = request?.[1];
  if (target === undefined || !/^[!-"$-~]+$/.test(target)) return undefined;
  const hosts: string[] = [];
  for (const line of lines) {
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
    if (match === null) return undefined;
    if (match[1]?.toLowerCase() === "host") hosts.push(match[2] ?? "");
  }
  const absolute = /^https?:\/\/([^/?]+)(.*)$/i.exec(target);
  if (absolute !== null) return { host: absolute[1] ?? "", target: absolute[2] ?? "" };
  if (hosts.length > 1) return undefined;
  return { host: hosts[0] ?? "", target };
}
