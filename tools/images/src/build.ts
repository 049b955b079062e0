import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { APP_IMAGES, MESH_UID } from "./apps.ts";
import { imageArchive, type Layer, layerOf, type RunSettings } from "./oci.ts";
import { appLayer, baseLayer, iptablesLayer, nodeBinary, programLayer, type RootPart, textLayer } from "./root.ts";
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
  /** What its containers run. */
  readonly run: RunSettings;
  readonly sbom: Sbom;
  /** Bytes of the layers, packed and unpacked. */
  readonly packed: number;
  readonly unpacked: number;
}

/** Builds images without an engine and without a registry; layers that they share are packed once. */
export class ImageBuilder {
  readonly #options: BuildOptions;
  readonly #nodeVersion: string;
  #base: Packed | undefined;

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
    const own = [
      ...(settings.iptables ? [packed(iptablesLayer(iptables()), "iptables on nftables", level)] : []),
      packed(appLayer(app), `lateen ${app} ${tag}`, level),
    ];
    const image = this.#write(app, `${hub}/${app}:${tag}`, [this.#nodeLayer(), ...own], {
      ...RUN,
      entrypoint: ["/usr/local/bin/node", "/lateen/main.js"],
      exposedPorts: settings.ports,
      labels: {
        "org.opencontainers.image.title": `lateen ${app}`,
        "org.opencontainers.image.description": settings.describe,
        "org.opencontainers.image.version": tag,
        "org.opencontainers.image.licenses": "Apache-2.0",
      },
    });
    const fromHost = [this.#nodeLayer(), ...own].flatMap(({ part }) => part.fromHost);
    const sbom = sbomOf(`${hub}/${app}`, tag, app, this.#nodeVersion, fromHost);
    writeFileSync(join(folder, `${app}.cdx.json`), `${JSON.stringify(sbom, null, 2)}\n`);
    return { ...image, sbom };
  }

  /** An image with one script for node over the layer that all share, for tests; its entry point is the script. */
  script(name: string, reference: string, text: string): Omit<BuiltImage, "sbom"> {
    const layer = packed(textLayer({ "app/main.cjs": text }), name, this.#options.level);
    const entrypoint = ["/usr/local/bin/node", "/app/main.cjs"];
    return this.#write(name, reference, [this.#nodeLayer(), layer], { ...RUN, entrypoint });
  }

  /** An image of a program of this machine, for tests: no entry point, so that its arguments begin with its name, and on the path. */
  program(name: string, reference: string, program: string): Omit<BuiltImage, "sbom"> {
    const layer = packed(programLayer(program, `usr/local/bin/${name}`), name, this.#options.level);
    return this.#write(name, reference, [layer], { ...RUN, entrypoint: [] });
  }

  #nodeLayer(): Packed {
    this.#base ??= packed(baseLayer(), `node ${this.#nodeVersion} and its libraries`, this.#options.level);
    return this.#base;
  }

  #write(name: string, reference: string, parts: readonly Packed[], run: RunSettings): Omit<BuiltImage, "sbom"> {
    const layers = parts.map(({ layer }) => layer);
    const { archive, digest } = imageArchive(reference, process.arch === "arm64" ? "arm64" : "amd64", layers, run);
    const file = join(this.#options.folder, `${name}.tar`);
    writeFileSync(file, archive);
    const entries = layers.flatMap((layer) => layer.entries);
    return {
      reference,
      file,
      digest,
      layers,
      run,
      packed: layers.reduce((sum, { gzip }) => sum + gzip.length, 0),
      unpacked: entries.reduce((sum, { content }) => sum + (content?.length ?? 0), 0),
    };
  }
}

/** What all images run as. */
const RUN = {
  user: `${MESH_UID}:${MESH_UID}`,
  env: ["PATH=/usr/local/bin:/usr/sbin:/usr/bin", "NODE_ENV=production"],
  workingDir: "/tmp",
  exposedPorts: [],
  labels: {},
};

interface Packed {
  readonly part: RootPart;
  readonly layer: Layer;
}

function packed(part: RootPart, createdBy: string, level: number | undefined): Packed {
  return { part, layer: layerOf(part.entries, createdBy, level) };
}

function iptables(): string {
  const found = ensureService("iptables");
  if (found.path === undefined) throw new Error(`iptables for the sidecar's image: ${found.reason}`);
  return found.path.replace(/iptables$/, "xtables-nft-multi");
}
