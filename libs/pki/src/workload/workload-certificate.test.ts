import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Scope, seededRandom, silentLogger } from "@lateen/kernel";
import type { CaMaterial } from "@lateen/ports";
import { type ManualClock, manualClock } from "@lateen/test-support";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRootCa, issueCertificate } from "../certificate.ts";
import { createCsr } from "../csr.ts";
import { WorkloadCertificate, type WorkloadIdentity } from "./workload-certificate.ts";

const SPIFFE_ID = "spiffe://cluster.local/ns/shop/sa/web";
const HOUR = 3_600_000;
let runDir = "";
let scope = new Scope();
beforeEach(async () => {
  runDir = await mkdtemp(join(tmpdir(), "lateen-certificate-"));
  scope = new Scope();
});
afterEach(async () => {
  await scope.close();
  await rm(runDir, { recursive: true });
});

/** A CA in the same process; each call resolves on the next turn. */
async function setUp(options: { clock?: ManualClock; ca?: CaMaterial; ttlSeconds?: number; spiffeId?: string } = {}) {
  const clock = options.clock ?? manualClock(Date.now());
  const world = { ca: options.ca ?? createRootCa({ trustDomain: "cluster.local" }, clock), calls: 0, broken: false };
  await writeFile(join(runDir, "root-cert.pem"), world.ca.rootPem);
  const identities: WorkloadIdentity[] = [];
  const waiting: (() => void)[] = [];
  const certificate = new WorkloadCertificate({
    runDir,
    spiffeId: options.spiffeId ?? SPIFFE_ID,
    ttlSeconds: options.ttlSeconds ?? 3600,
    clock,
    random: seededRandom(7),
    scope,
    logger: silentLogger,
    createCsr: async (spiffeId) => createCsr({ spiffeId }),
    sign: async (csrPem, ttlSeconds) => {
      world.calls++;
      if (world.broken) throw new Error("the CA is closed");
      return issueCertificate(world.ca, { csrPem, spiffeId: options.spiffeId ?? SPIFFE_ID, ttlSeconds }, clock).chain;
    },
    onIdentity: (identity) => {
      identities.push(identity);
      for (const resolve of waiting.splice(0)) resolve();
    },
  });
  const seen = async (count: number) => {
    while (identities.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { clock, world, certificate, identities, seen, settled };
}

describe("a workload certificate", () => {
  it("is asked for, kept, and used again after a restart", async () => {
    const first = await setUp();
    await first.certificate.start();
    await first.seen(1);
    await scope.close();
    scope = new Scope();
    const second = await setUp({ clock: first.clock, ca: first.world.ca });
    await second.certificate.start();
    expect(second.world.calls).toBe(0);
    expect(second.identities[0]).toMatchObject({
      serial: first.identities[0]?.serial,
      rootsPem: first.world.ca.rootPem,
    });
  });

  it("is renewed at half of its life, not of the backdated one", async () => {
    const { clock, world, certificate, seen } = await setUp();
    await certificate.start();
    await seen(1);
    clock.advance(0.48 * HOUR);
    expect(world.calls).toBe(1);
    clock.advance(0.04 * HOUR);
    await seen(2);
    expect(certificate.rotations).toBe(2);
  });

  it("does not ask without pause however short its life is", async () => {
    const { clock, world, certificate, seen } = await setUp({ ttlSeconds: 1 });
    await certificate.start();
    await seen(1);
    clock.advance(900);
    expect(world.calls).toBe(1);
    clock.advance(200);
    await seen(2);
  });

  it("stays in use while the CA fails; attempts go on, further and further apart", async () => {
    const { clock, world, certificate, seen, settled } = await setUp();
    await certificate.start();
    await seen(1);
    world.broken = true;
    clock.advance(0.52 * HOUR);
    await settled();
    expect(certificate).toMatchObject({ failures: 1, lastFailure: "the CA is closed" });
    for (let i = 0; i < 20; i++) {
      clock.advance(60_000);
      await settled();
    }
    expect(certificate.failures).toBeGreaterThan(10);
    expect(certificate.failures).toBeLessThanOrEqual(21);
    expect(certificate.current).toBeDefined();
    world.broken = false;
    clock.advance(60_000);
    await seen(2);
    expect(certificate).toMatchObject({ failures: 0, lastFailure: "" });
  });

  it.each([
    ["of another identity", { spiffeId: "spiffe://cluster.local/ns/shop/sa/other" }],
    ["of another CA", {}],
  ])("on disk is not used when it is %s", async (title, options) => {
    const first = await setUp();
    await first.certificate.start();
    await first.seen(1);
    await scope.close();
    scope = new Scope();
    const ca = title === "of another CA" ? {} : { ca: first.world.ca };
    const second = await setUp({ clock: first.clock, ...ca, ...options });
    await second.certificate.start();
    await second.seen(1);
    expect(second.world.calls).toBe(1);
  });

  it("on disk is not used when it has expired", async () => {
    const first = await setUp();
    await first.certificate.start();
    await first.seen(1);
    await scope.close();
    scope = new Scope();
    const second = await setUp({ clock: manualClock(first.clock.now() + 2 * HOUR), ca: first.world.ca });
    await second.certificate.start();
    await second.seen(1);
    expect(second.world.calls).toBe(1);
  });

  it("is replaced when the projected roots do not lead to it any more; both roots are trusted meanwhile", async () => {
    const { clock, world, certificate, identities, seen } = await setUp();
    await certificate.start();
    await seen(1);
    const before = world.ca;
    world.ca = createRootCa({ trustDomain: "cluster.local" }, clock);
    await writeFile(join(runDir, "root-cert.pem"), world.ca.rootPem);
    clock.advance(10_000);
    await seen(2);
    expect(identities[1]?.rootsPem).toContain(before.rootPem.trim());
    expect(identities[1]?.rootsPem).toContain(world.ca.rootPem.trim());
    await seen(3);
    expect(identities[2]?.rootsPem).toBe(world.ca.rootPem);
  });
});
