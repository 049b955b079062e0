import { describe, expect, expectTypeOf, it } from "vitest";
import { formatConfig, readConfig } from "./config.ts";
import { defineFlags } from "./flags.ts";

const flags = defineFlags("demo", {
  stateDir: { kind: "string", describe: "where state lives", required: true },
  xdsPort: { kind: "number", describe: "port", default: 15012, min: 0, max: 65535 },
  certTtl: { kind: "duration", describe: "lifetime", default: "24h" },
  config: { kind: "list", describe: "files" },
  role: { kind: "choice", describe: "role", choices: ["sidecar", "router"], default: "sidecar" },
  verbose: { kind: "boolean", describe: "say more" },
  podName: { kind: "string", describe: "pod", env: ["POD_NAME"] },
  caToken: { kind: "string", describe: "token", secret: true },
});
const read = (argv: string[], env: Record<string, string> = {}) => readConfig(flags, argv, env);

describe("readConfig", () => {
  it("prefers flag over variable over default", () => {
    const env = { LATEEN_XDS_PORT: "2", LATEEN_STATE_DIR: "/env", LATEEN_CONFIG: "a,b" };
    const result = read(["--xds-port", "1", "--role=router"], env);
    expect(result).toMatchObject({
      ok: true,
      value: {
        values: {
          xdsPort: 1,
          stateDir: "/env",
          config: ["a", "b"],
          role: "router",
          certTtl: 86_400_000,
          verbose: false,
        },
        sources: { xdsPort: "flag", stateDir: "LATEEN_STATE_DIR", certTtl: "default" },
      },
    });
  });

  it("repeats list flags and reads injected variables", () => {
    const result = read(["--state-dir", "/s", "--config", "a", "--config", "b", "--verbose", "rest"], {
      POD_NAME: "p",
    });
    expect(result).toMatchObject({
      ok: true,
      value: { values: { config: ["a", "b"], podName: "p", verbose: true }, positionals: ["rest"] },
    });
  });

  it.each([
    [["--state-dri", "x", "--state-dir", "/s"], "unknown option --state-dri, did you mean --state-dir?"],
    [[], "--state-dir is required"],
    [["--state-dir"], "--state-dir needs a value"],
    [["--state-dir", "s", "--xds-port", "70000"], "--xds-port: 70000 is more than 65535"],
    [["--state-dir", "s", "--xds-port", "x"], '--xds-port: "x" is not a number'],
    [["--state-dir", "s", "--role", "boss"], '--role: "boss" is none of sidecar, router'],
    [["--state-dir", "s", "--verbose=maybe"], '--verbose: "maybe" is neither true nor false'],
  ])("refuses %j", (argv, message) => {
    const result = read(argv);
    expect(result.ok).toBe(false);
    expect(result.ok ? [] : result.error).toContain(message);
  });

  it("prints values with their source and hides secrets", () => {
    const result = read(["--state-dir", "/s", "--ca-token", "hunter2", "--print-config"]);
    if (!result.ok) throw new Error("refused");
    expect(result.value.printConfig).toBe(true);
    const text = formatConfig(flags, result.value);
    expect(text).toContain('state-dir = "/s"  (flag)');
    expect(text).toContain("xds-port = 15012  (default)");
    expect(text).toContain("ca-token = [redacted]  (flag)");
    expect(text).not.toContain("hunter2");
  });

  it("types values by declaration", () => {
    const result = read(["--state-dir", "/s"]);
    if (!result.ok) throw new Error("refused");
    expectTypeOf(result.value.values.xdsPort).toEqualTypeOf<number>();
    expectTypeOf(result.value.values.role).toEqualTypeOf<"sidecar" | "router">();
    expectTypeOf(result.value.values.podName).toEqualTypeOf<string | undefined>();
  });
});
