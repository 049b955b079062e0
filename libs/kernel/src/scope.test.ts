import { describe, expect, it } from "vitest";
import { Scope } from "./scope.ts";

describe("closing a Scope", () => {
  it("aborts, then runs the disposers in reverse, each awaited", async () => {
    const scope = new Scope();
    const seen: string[] = [];
    scope.signal.addEventListener("abort", () => seen.push("abort"));
    scope.defer(() => void seen.push("first"));
    scope.defer(async () => {
      await Promise.resolve();
      seen.push("second");
    });
    scope.defer(() => void seen.push(`third ${scope.closed}`));
    await scope.close();
    expect(seen).toEqual(["abort", "third true", "second", "first"]);
  });

  it("runs every disposer although some fail, and tells the first failure", async () => {
    const scope = new Scope();
    const seen: string[] = [];
    scope.defer(() => void seen.push("first"));
    scope.defer(() => Promise.reject(new Error("second to fail")));
    scope.defer(() => {
      throw new Error("first to fail");
    });
    await expect(scope.close()).rejects.toThrow("first to fail");
    expect(seen).toEqual(["first"]);
  });

  it("twice waits for the first, and disposes once", async () => {
    const scope = new Scope();
    let count = 0;
    scope.defer(() => void count++);
    await Promise.all([scope.close(), scope.close()]);
    await scope.close();
    expect(count).toBe(1);
  });

  it("closes children, which may close before", async () => {
    const parent = new Scope();
    const seen: string[] = [];
    const early = parent.child();
    const late = parent.child();
    parent.defer(() => void seen.push("parent"));
    early.defer(() => void seen.push("early"));
    late.defer(() => void seen.push("late"));
    await early.close();
    expect(parent.closed).toBe(false);
    await parent.close();
    expect(seen).toEqual(["early", "parent", "late"]);
    expect(late.signal.aborted).toBe(true);
  });

  it("from within a disposer is the same closing", async () => {
    const scope = new Scope();
    let count = 0;
    scope.defer(() => void count++);
    scope.defer(() => void scope.close());
    await scope.close();
    expect(count).toBe(1);
  });

  it("disposes what comes while it closes, even when another fails", async () => {
    const scope = new Scope();
    const seen: string[] = [];
    scope.defer(() => {
      scope.defer(() => void seen.push("late"));
      throw new Error("failed");
    });
    await expect(scope.close()).rejects.toThrow("failed");
    await expect(scope.close()).rejects.toThrow("failed");
    expect(seen).toEqual(["late"]);
  });

  it("disposes at once what comes too late, and a later close waits for it", async () => {
    const scope = new Scope();
    await scope.close();
    let disposed = false;
    scope.defer(async () => {
      await Promise.resolve();
      disposed = true;
    });
    await scope.close();
    expect(disposed).toBe(true);
  });
});
