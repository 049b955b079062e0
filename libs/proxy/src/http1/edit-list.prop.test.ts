import { systemClock } from "@lateen/kernel";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Connection } from "../io/connection.ts";
import { IoLoop } from "../io/io-loop.ts";
import { EditList } from "./edit-list.ts";
import { Http1Head } from "./head.ts";
import { parseRequestHead } from "./parse-head.ts";
import { writeHeaders, writeRequestStart } from "./write-head.ts";

const NAMES = ["x-a", "x-b", "X-A", "user-agent", "server", "x-request-id"] as const;
const name = fc.constantFrom(...NAMES);
const value = fc.string({ unit: fc.constantFrom(..."abc 019"), maxLength: 60 }).map((text) => text.trim());
const edit = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), name: name.map((n) => n.toLowerCase()), value }),
  fc.record({ kind: fc.constant("append" as const), name: name.map((n) => n.toLowerCase()), value }),
  fc.record({ kind: fc.constant("remove" as const), name: name.map((n) => n.toLowerCase()) }),
);

/** What is written to a connection that only gathers. */
function written(write: (connection: Connection) => void): string {
  const io = new IoLoop(systemClock());
  const parts: string[] = [];
  const connection = {
    io,
    closed: false,
    finished: false,
    write: (bytes: Uint8Array, start: number, end: number) =>
      io.out.append(connection as unknown as Connection, bytes, start, end),
    writeText: (text: string) => io.out.appendAscii(connection as unknown as Connection, text),
    gathered: () => undefined,
    written() {},
    sendGathered: (bytes: Buffer) => {
      parts.push(bytes.toString("latin1"));
      return false;
    },
  };
  io.enter();
  write(connection as unknown as Connection);
  io.leave();
  return parts.join("");
}

describe("edits and the writer", () => {
  it("give what a list of lines would give", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, value), { maxLength: 10 }),
        fc.array(edit, { maxLength: 8 }),
        (fields, edits) => {
          const lines = fields.map(([n, v]) => `${n}: ${v}\r\n`).join("");
          const bytes = Buffer.from(`GET /p HTTP/1.1\r\nHost: h\r\n${lines}\r\n`, "latin1");
          const head = new Http1Head();
          expect(parseRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
          head.adopt(bytes, 0);
          const list = new EditList(head);
          let naive: (readonly [string, string])[] = fields.map(([n, v]) => [n.toLowerCase(), v] as const);
          for (const one of edits) {
            if (one.kind !== "append") naive = naive.filter(([n]) => n !== one.name);
            switch (one.kind) {
              case "set":
                list.set(one.name, one.value);
                naive.push([one.name, one.value]);
                break;
              case "append":
                list.append(one.name, one.value);
                naive.push([one.name, one.value]);
                break;
              case "remove":
                list.remove(one.name);
            }
          }
          const text = written((connection) => {
            writeRequestStart(connection, head);
            writeHeaders(connection, head);
            connection.writeText(list.lines());
          });
          const [start, ...rest] = text.split("\r\n");
          expect(start).toBe("GET /p HTTP/1.1");
          const got = rest.filter((line) => line !== "" && !/^host:/i.test(line)).map((line) => line.toLowerCase());
          const expected = naive.map(([n, v]) => `${n}: ${v}`.trimEnd());
          expect(got.map((line) => line.trimEnd()).sort()).toEqual(expected.sort());
          for (const wanted of NAMES) {
            const values = naive.filter(([n]) => n === wanted.toLowerCase()).map(([, v]) => v);
            expect(values.length === 0 ? [undefined] : values).toContain(list.textOf(wanted.toLowerCase()));
          }
        },
      ),
    );
  });

  it("cannot be used to add a line or change the framing", () => {
    const head = new Http1Head();
    const bytes = Buffer.from("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", "latin1");
    parseRequestHead(bytes, 0, bytes.length, head);
    head.adopt(bytes, 0);
    const list = new EditList(head);
    for (const [n, v] of [
      ["x", "a\r\nevil: 1"],
      ["x\r\nevil", "1"],
      ["x y", "1"],
      ["", "1"],
      ["content-length", "9"],
      ["transfer-encoding", "chunked"],
      ["connection", "close"],
      [":path", "/a b"],
      [":path", "/a#b"],
      [":path", "a"],
      [":authority", "a/b"],
      [":authority", "u@b"],
      ["x", "\u010a"],
    ] as const) {
      list.set(n, v);
      list.append(n, v);
    }
    list.remove("content-length");
    list.remove("host");
    list.remove(":method");
    expect(list.lines()).toBe("");
    const text = written((connection) => {
      writeRequestStart(connection, head);
      writeHeaders(connection, head);
    });
    expect(text).toBe("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n");
  });
});
