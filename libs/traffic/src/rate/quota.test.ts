import { describe, expect, it } from "vitest";
import { QuotaLedger, type QuotaRequest } from "./quota.ts";

const START = 1_767_225_600_000;
const of = (limit: Partial<QuotaRequest["limit"]> = {}, rest: Partial<QuotaRequest> = {}): QuotaRequest => ({
  key: "k",
  amount: 1,
  limit: { max: 3, windowMs: 60_000, algorithm: "fixed", ...limit },
  ...rest,
});

describe("fixed windows", () => {
  it("begin at whole multiples of their length and hold what they were given", () => {
    const ledger = new QuotaLedger();
    const at = START + 59_000;
    expect(ledger.allocate(of({}, { amount: 2 }), at)).toEqual({ granted: 2, remaining: 1, validMs: 1_000, atMs: at });
    expect(ledger.allocate(of({}, { amount: 2 }), at).granted).toBe(0);
    expect(ledger.allocate(of({}, { amount: 2, bestEffort: true }), at).granted).toBe(1);
    expect(ledger.allocate(of(), START + 59_999)).toMatchObject({ granted: 0, remaining: 0, validMs: 1 });
    expect(ledger.allocate(of({}, { amount: 3 }), START + 60_000)).toMatchObject({ granted: 3, validMs: 60_000 });
  });

  it("count with another maximum what they counted before", () => {
    const ledger = new QuotaLedger();
    ledger.allocate(of({}, { amount: 3 }), START);
    expect(ledger.allocate(of({ max: 5 }), START)).toMatchObject({ granted: 1, remaining: 1 });
    expect(ledger.allocate(of({ max: 2 }), START)).toMatchObject({ granted: 0, remaining: 0 });
  });

  it("do not open again when the clock is set back a little, and begin anew when it is set back far", () => {
    const ledger = new QuotaLedger();
    ledger.allocate(of({}, { amount: 3 }), START);
    expect(ledger.allocate(of(), START - 1)).toMatchObject({ granted: 0, validMs: 60_001 });
    expect(ledger.allocate(of(), START - 120_001).granted).toBe(1);
  });
});

describe("rolling windows", () => {
  const rolling = (amount: number, bestEffort = false) => of({ algorithm: "rolling" }, { amount, bestEffort });

  it("give back what is as old as they are long, by 60ths", () => {
    const ledger = new QuotaLedger();
    expect(ledger.allocate(rolling(2), START).granted).toBe(2);
    expect(ledger.allocate(rolling(1), START + 30_000).granted).toBe(1);
    expect(ledger.allocate(rolling(1), START + 60_999)).toMatchObject({ granted: 0, validMs: 1 });
    expect(ledger.allocate(rolling(3, true), START + 61_000)).toMatchObject({ granted: 2, remaining: 0 });
    expect(ledger.allocate(rolling(1), START + 90_999).granted).toBe(0);
    expect(ledger.allocate(rolling(1), START + 91_000).granted).toBe(1);
  });
});

describe("ids", () => {
  const asked = (id: string, amount: number) => of({}, { amount, dedup: { id, forMs: 1_000 } });

  it("get the same answer again until their time is over", () => {
    const ledger = new QuotaLedger();
    expect(ledger.allocate(asked("a", 2), START)).toMatchObject({ granted: 2, remaining: 1 });
    expect(ledger.allocate(asked("a", 2), START + 999)).toMatchObject({ granted: 2, remaining: 1 });
    expect(ledger.allocate(asked("b", 2), START + 999)).toMatchObject({ granted: 0, remaining: 1 });
    expect(ledger.allocate(asked("b", 1), START + 1_000)).toMatchObject({ granted: 0 });
    expect(ledger.allocate(asked("a", 1), START + 1_000)).toMatchObject({ granted: 1, remaining: 0 });
  });
});

it("forgets what has no effect any more, and nothing else", () => {
  const ledger = new QuotaLedger();
  ledger.allocate(of({}, { amount: 3, dedup: { id: "a", forMs: 90_000 } }), START);
  ledger.allocate(of({ algorithm: "rolling" }, { key: "r" }), START);
  ledger.expire(START + 59_999);
  expect(ledger.size).toBe(3);
  ledger.expire(START + 60_000);
  expect(ledger.size).toBe(2);
  ledger.expire(START + 61_000);
  expect(ledger.size).toBe(1);
  ledger.expire(START + 90_000);
  expect(ledger.size).toBe(0);
});

it("keeps nothing for those who were refused or only looked", () => {
  const ledger = new QuotaLedger();
  ledger.allocate(of({ max: 0 }), START);
  ledger.allocate(of({}, { amount: 0 }), START);
  expect(ledger.size).toBe(0);
});
