import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { natsOf } from "./nats.ts";

it("starts nats-server where there is one, or says that there is none when it must", () => {
  const dir = mkdtempSync(join(tmpdir(), "lateen-path-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, "nats-server");
  writeFileSync(program, "");
  chmodSync(program, 0o755);
  const there = { env: { PATH: `/nowhere::${dir}` } };
  for (const nats of ["auto", "local"]) expect(natsOf(there, { nats })).toEqual({ nats: { kind: "own", program } });
  expect(natsOf({ env: { LATEEN_NATS_SERVER: "/x/nats" } }, { nats: "local" })).toEqual({
    nats: { kind: "own", program: "/x/nats" },
  });
  expect(natsOf(there, { nats: "off" })).toEqual({});
  expect(natsOf(there, { nats: "nats://a:4222" })).toEqual({ nats: { kind: "running", url: "nats://a:4222" } });
});
