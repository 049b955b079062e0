import { expect, it } from "vitest";
import { eventually } from "./eventually.ts";

it("resolves to the first value there is", async () => {
  let asked = 0;
  const found = await eventually("the third", async () => (++asked === 3 ? asked : undefined), 60_000, 1);
  expect(found).toBe(3);
});

it("asks again after a failure", async () => {
  let asked = 0;
  const probe = async () => {
    if (++asked === 1) throw new Error("not there");
    return "there";
  };
  expect(await eventually("it", probe, 60_000, 1)).toBe("there");
});

it("tells what it waited for and what was last seen", async () => {
  const probe = () => Promise.reject(new Error("connection refused"));
  await expect(eventually("the door opens", probe, 0, 1)).rejects.toThrow(
    "the door opens: not within 0 ms (Error: connection refused)",
  );
});
