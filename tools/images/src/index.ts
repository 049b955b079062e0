export { APP_IMAGES, type AppImage, MESH_UID } from "./apps.ts";
export { dockerfileOf, imageFiles } from "./dockerfile.ts";
