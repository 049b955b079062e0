export { type Answer, call, startLoad } from "./http.ts";
export { fullCounts, type Mesh, type MeshStatus, prepareMesh, sampleRule } from "./mesh.ts";
export { killAll, pidsOf } from "./processes.ts";
