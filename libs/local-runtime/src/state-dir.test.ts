import { expect, it } from "vitest";
import { createStateDir } from "./state-dir.ts";

it("says which state directory cannot be written", async () => {
  await expect(createStateDir("/dev/null/home/default")).rejects.toMatchObject({
    code: "LTN7013",
    message: expect.stringContaining("/dev/null/home/default") as unknown,
  });
});
