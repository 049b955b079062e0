import { expect, it } from "vitest";
import { listeningPorts } from "./listening-ports.ts";

it.each([0, 11_999, 12_000, -5, 2 ** 31])(
  "from %d, ports are different, and none is given to outgoing connections",
  (start) => {
    const ports = [...listeningPorts(start)];
    expect(new Set(ports).size).toBe(200);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...ports)).toBeLessThan(32_000);
  },
);
