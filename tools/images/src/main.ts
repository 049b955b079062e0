// `npm run images -- [APP…] [--hub lateen] [--tag 0.1.0] [--out .cache/images]`: every app as an OCI image, without an engine or a registry.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { APP_IMAGES } from "./apps.ts";
import { ImageBuilder } from "./build.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    hub: { type: "string", default: "lateen" },
    tag: { type: "string", default: "0.1.0" },
    out: { type: "string", default: resolve(ROOT, ".cache/images") },
  },
});
const builder = new ImageBuilder({ hub: values.hub, tag: values.tag, folder: values.out });
const apps =
  positionals.length > 0 ? positionals : Object.keys(APP_IMAGES).filter((app) => existsSync(`${ROOT}/apps/${app}`));
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1).padStart(7)} MB`;
let own = 0;
for (const app of apps) {
  const image = builder.build(app);
  own += image.layers.slice(1).reduce((sum, { gzip }) => sum + gzip.length, 0);
  const shared = image.layers[0]?.gzip.length ?? 0;
  console.log(
    `${image.reference.padEnd(34)} ${megabytes(image.packed)} packed (${megabytes(image.packed - shared).trim()} of its own), ${megabytes(image.unpacked)} unpacked, ${image.sbom.components.length} components  ${image.digest.slice(0, 19)}`,
  );
}
console.log(`${apps.length} images in ${values.out}; ${megabytes(own).trim()} of layers beside the one they share`);
