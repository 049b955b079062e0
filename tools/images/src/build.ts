import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { APP_IMAGES, MESH_UID } from "./apps.ts";
import { imageArchive, type Layer, layerOf } from "./oci.ts";
import { appLayer, baseLayer, iptablesLayer, nodeBinary, type RootPart } from "./root.ts";
import { type Sbom, sbomOf } from "./sbom.ts";

export interface BuildOptions {
  readonly hub: string;
  readonly tag: string;
  /** Where `APP.tar` and `APP.cdx.json` go. */
  readonly folder: string;
  /** Of gzip. Default 6. */
  readonly level?: number;
}

/** An image as it was written. */
export interface BuiltImage {
  readonly reference: string;
  readonly file: string;
  readonly digest: string;
  readonly layers: readonly Layer[];
  readonly sbom: Sbom;
  /** Bytes of the layers, packed and unpacked. */
  readonly packed: number;
  readonly unpacked: number;
}

/** Builds images without an engine and without a registry; layers that they share are packed once. */
export class ImageBuilder {
  readonly #options: BuildOptions;
  readonly #nodeVersion: string;
  #base: { readonly part: RootPart; readonly layer: Layer } | undefined;

  constructor(options: BuildOptions) {
    this.#options = options;
    this.#nodeVersion = execFileSync(nodeBinary(), ["--version"], { encoding: "utf8" }).trim().slice(1);
    mkdirSync(options.folder, { recursive: true });
  }

  /** @throws Error when the app is not built, or iptables cannot be had for an image that needs it. */
  build(app: string): BuiltImage {
    const { hub, tag, folder, level } = this.#options;
    const settings = APP_IMAGES[app];
    if (settings === undefined) throw new Error(`no image "${app}"; there are ${Object.keys(APP_IMAGES).join(", ")}`);
    this.#base ??= packed(baseLayer(), `node ${this.#nodeVersion} and its libraries`, level);
    const parts = [this.#base.part];
    const layers = [this.#base.layer];
    const add = ({ part, layer }: { part: RootPart; layer: Layer }) => {
      parts.push(part);
      layers.push(layer);
    };
    if (settings.iptables) add(packed(iptablesLayer(iptables()), "iptables on nftables", level));
    add(packed(appLayer(app), `lateen ${app} ${tag}`, level));
    const reference = `${hub}/${app}:${tag}`;
    const { archive, digest } = imageArchive(reference, process.arch === "arm64" ? "arm64" : "amd64", layers, {
      user: `${MESH_UID}:${MESH_UID}`,
      entrypoint: ["/usr/local/bin/node", "/lateen/main.js"],
      env: ["PATH=/usr/local/bin:/usr/sbin:/usr/bin", "NODE_ENV=production"],
      workingDir: "/tmp",
      exposedPorts: settings.ports,
      labels: {
        "org.opencontainers.image.title": `lateen ${app}`,
        "org.opencontainers.image.description": settings.describe,
        "org.opencontainers.image.version": tag,
        "org.opencontainers.image.licenses": "Apache-2.0",
      },
    });
    const sbom = sbomOf(
      `${hub}/${app}`,
      tag,
      app,
      this.#nodeVersion,
      parts.flatMap(({ fromHost }) => fromHost),
    );
    const file = join(folder, `${app}.tar`);
    writeFileSync(file, archive);
    writeFileSync(join(folder, `${app}.cdx.json`), `${JSON.stringify(sbom, null, 2)}\n`);
    const entries = layers.flatMap((layer) => layer.entries);
    return {
      reference,
      file,
      digest,
      layers,
      sbom,
      packed: layers.reduce((sum, { gzip }) => sum + gzip.length, 0),
      unpacked: entries.reduce((sum, { content }) => sum + (content?.length ?? 0), 0),
    };
  }
}

function packed(part: RootPart, createdBy: string, level: number | undefined) {
  return { part, layer: layerOf(part.entries, createdBy, level) };
}

function iptables(): string {
  const found = ensureService("iptables");
  if (found.path === undefined) throw new Error(`iptables for the sidecar's image: ${found.reason}`);
  return found.path.replace(/iptables$/, "xtables-nft-multi");
}
