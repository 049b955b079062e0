export { type CallInput, type CallTrace, parseCall, type ServerTrace, simulateCall } from "./call.ts";
export { simulate } from "./connection.ts";
export { LATEEN_METADATA, type Participant, SimulatedMesh, type SimulatedMeshOptions } from "./mesh.ts";
export { objectOfConfig, objectOfPolicy } from "./objects.ts";
export { asRunning, hasSidecar, isGatewayPod, withServiceAddresses } from "./offline-world.ts";
export { type EncodedByName, type ProxyResources, SimulatedProxy } from "./proxy-resources.ts";
export { explainCall, verdictLine } from "./text.ts";
export type * from "./trace.ts";
