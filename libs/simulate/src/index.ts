export { type CallInput, type CallTrace, parseCall, type ServerTrace, simulateCall } from "./call.ts";
export { simulate } from "./connection.ts";
export { type Cause, causeOf, objectOf } from "./happened/cause.ts";
export { causeOfConnection } from "./happened/connection-cause.ts";
export {
  type ConnectionHop,
  type ConnectionStory,
  connectionLine,
  connectionStoryOf,
  connectionStoryText,
} from "./happened/connection-story.ts";
export { type ExplainedHop, type Hop, requestLine, type Story, storyOf, storyText } from "./happened/story.ts";
export { LATEEN_METADATA, type Participant, SimulatedMesh, type SimulatedMeshOptions } from "./mesh.ts";
export { objectOfConfig, objectOfPolicy } from "./objects.ts";
export { asRunning, hasSidecar, isGatewayPod, withServiceAddresses } from "./offline-world.ts";
export { type EncodedByName, type ProxyResources, SimulatedProxy } from "./proxy-resources.ts";
export { explainCall, verdictLine } from "./text.ts";
export type * from "./trace.ts";
