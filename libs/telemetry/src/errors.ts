import { LateenError } from "@lateen/kernel";

/** LTN8001: a metric is declared in a way that Prometheus cannot read, or twice in different ways. */
export function metricDeclarationError(name: string, reason: string): LateenError {
  return new LateenError({ code: "LTN8001", fault: "system", message: `metric ${name}: ${reason}`, detail: { name } });
}
