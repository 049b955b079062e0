import { describe, expect, it } from "vitest";
import { inheritedEnvironment, ownEnvironment } from "./environment.ts";

const machine = {
  PATH: "/usr/bin",
  LATEEN_CERT_TTL: "30s",
  LATEEN_HOME: "/somewhere",
  NODE_COMPILE_CACHE: "/cache",
  NODE_OPTIONS: "--inspect",
  AWS_SECRET_ACCESS_KEY: "hidden",
};

describe("what of the machine's environment reaches", () => {
  const inherited = inheritedEnvironment(machine);

  it("containers: what every process needs, no settings and no secrets", () => {
    expect(Object.fromEntries(inherited)).toEqual({ PATH: "/usr/bin" });
  });

  it("our own processes: their settings too", () => {
    expect(Object.fromEntries(ownEnvironment(inherited, machine))).toEqual({
      PATH: "/usr/bin",
      LATEEN_CERT_TTL: "30s",
      NODE_COMPILE_CACHE: "/cache",
    });
  });
});
