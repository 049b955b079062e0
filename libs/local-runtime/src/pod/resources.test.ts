import { expect, it } from "vitest";
import { resourceValue } from "./resources.ts";

const machine = { cpus: 8, memoryBytes: 2 ** 34 };
const resources = { limits: { cpu: "1500m", memory: "128Mi" }, requests: { cpu: "250m" } };

it.each([
  [{ resource: "limits.cpu" }, "2"],
  [{ resource: "limits.cpu", divisor: "1m" }, "1500"],
  [{ resource: "requests.cpu", divisor: "1m" }, "250"],
  [{ resource: "limits.memory" }, "134217728"],
  [{ resource: "limits.memory", divisor: "1Mi" }, "128"],
  [{ resource: "requests.memory", divisor: "1Mi" }, "128"],
  [{ resource: "limits.cpu", divisor: "0" }, "2"],
  [{ resource: "requests.ephemeral-storage" }, "0"],
])("%j of a container with limits is %s", (reference, wanted) => {
  expect(resourceValue(reference, resources, machine)).toEqual({ ok: true, value: wanted });
});

it.each([
  [{ resource: "limits.cpu" }, "8"],
  [{ resource: "limits.memory", divisor: "1Gi" }, "16"],
  [{ resource: "requests.cpu" }, "0"],
])("%j of a container without any is %s", (reference, wanted) => {
  expect(resourceValue(reference, undefined, machine)).toEqual({ ok: true, value: wanted });
});

it.each([
  [{ resource: "limits.gpu" }, resources, "limits.gpu"],
  [{ resource: "limits.cpu" }, { limits: { cpu: "many" } }, "not a quantity"],
])("%j is refused when it means nothing", (reference, of, named) => {
  expect(resourceValue(reference, of, machine)).toEqual({
    ok: false,
    error: expect.stringContaining(named) as unknown,
  });
});
