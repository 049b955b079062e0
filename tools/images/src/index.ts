export { APP_IMAGES, type AppImage, MESH_UID } from "./apps.ts";
export { type BuildOptions, type BuiltImage, ImageBuilder } from "./build.ts";
export { dockerfileOf, imageFiles } from "./dockerfile.ts";
export type { Layer, RunSettings } from "./oci.ts";
