import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type TarEntry, tarOf } from "./tar.ts";

/** What a container of an image runs, as OCI's image configuration says it. */
export interface RunSettings {
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly exposedPorts: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}

/** A layer, packed. */
export interface Layer {
  readonly entries: readonly TarEntry[];
  readonly gzip: Buffer;
  /** Of the packed bytes, `sha256:…`. */
  readonly digest: string;
  /** Of the unpacked bytes. */
  readonly diffId: string;
  readonly createdBy: string;
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const EPOCH = "1970-01-01T00:00:00Z";

/** Packs a layer; images that share it share its bytes. @param level of gzip. */
export function layerOf(entries: readonly TarEntry[], createdBy: string, level = 6): Layer {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  const tar = tarOf(sorted);
  const gzip = gzipSync(tar, { level });
  return { entries: sorted, gzip, digest: sha256(gzip), diffId: sha256(tar), createdBy };
}

/**
 * An image as one archive that is both an OCI image layout (image-spec 1.1) and what `docker load` of any age reads. Nothing in it depends on
 * time or machine.
 * @param reference `name:tag`.
 */
export function imageArchive(
  reference: string,
  architecture: "amd64" | "arm64",
  layers: readonly Layer[],
  run: RunSettings,
): { readonly archive: Buffer; readonly digest: string } {
  const config = json({
    architecture,
    os: "linux",
    created: EPOCH,
    config: {
      User: run.user,
      Entrypoint: run.entrypoint,
      Env: run.env,
      WorkingDir: run.workingDir,
      ExposedPorts: Object.fromEntries(run.exposedPorts.map((port) => [`${port}/tcp`, {}])),
      Labels: run.labels,
      StopSignal: "SIGTERM",
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ createdBy }) => ({ created: EPOCH, created_by: createdBy })),
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: layers.map(({ gzip }) => descriptor("application/vnd.oci.image.layer.v1.tar+gzip", gzip)),
  });
  const named = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
  const index = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [
      {
        ...named,
        platform: { architecture, os: "linux" },
        annotations: {
          "io.containerd.image.name": reference,
          "org.opencontainers.image.ref.name": reference.slice(reference.lastIndexOf(":") + 1),
        },
      },
    ],
  });
  const blob = (digest: string) => `blobs/sha256/${digest.slice("sha256:".length)}`;
  const blobs = new Map(
    [config, manifest, ...layers.map(({ gzip }) => gzip)].map((bytes) => [blob(sha256(bytes)), bytes]),
  );
  const docker = json([
    { Config: blob(sha256(config)), RepoTags: [reference], Layers: layers.map(({ digest }) => blob(digest)) },
  ]);
  const files = new Map<string, Buffer>([
    ...blobs,
    ["index.json", index],
    ["manifest.json", docker],
    ["oci-layout", json({ imageLayoutVersion: "1.0.0" })],
  ]);
  const entries: TarEntry[] = [
    { path: "blobs/", mode: 0o755 },
    { path: "blobs/sha256/", mode: 0o755 },
    ...[...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, content]) => ({ path, mode: 0o644, content })),
  ];
  return { archive: tarOf(entries), digest: named.digest };
}

function descriptor(mediaType: string, bytes: Uint8Array) {
  return { mediaType, digest: sha256(bytes), size: bytes.length };
}
