import type { SupervisorOptions } from "../options.ts";
import type { ControlPlane } from "./control-plane.ts";
import { EmbeddedControlPlane } from "./embedded-control-plane.ts";
import { SeparateControlPlane, type SeparateControlPlaneOptions } from "./separate-control-plane.ts";

/** In one process, or each component in processes of its own where the options name their programs. */
export function createControlPlane(
  {
    components,
    replicas = 2,
    nats,
    controlPlane,
  }: Pick<SupervisorOptions, "components" | "replicas" | "nats" | "controlPlane">,
  parts: Omit<SeparateControlPlaneOptions, "commands" | "replicas" | "nats">,
): ControlPlane {
  if (components !== undefined) return new SeparateControlPlane({ ...parts, commands: components, replicas, nats });
  const { onLine, setpriv: _, ...common } = parts;
  return new EmbeddedControlPlane({
    ...common,
    command: controlPlane,
    onLine: (stream, line) => onLine("control-plane", stream, line),
  });
}
