import type { LocalRuntime } from "@lateen/mesh-model";
import picomatch from "picomatch";

/** How one image is run, and where the document that says so lives. */
export interface ImageRule {
  readonly match: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute directory the command starts in. */
  readonly workingDir: string;
  /** `LocalRuntime namespace/name`, for messages. */
  readonly source: string;
}

/** Directory of the file a LocalRuntime document was read from; commands are relative to it. */
export type BaseDirectory = (runtime: LocalRuntime) => string;

/** All rules, documents in the order of namespace and name, rules in written order. */
export function imageRules(runtimes: Iterable<LocalRuntime>, baseOf: BaseDirectory): readonly ImageRule[] {
  const sorted = [...runtimes].sort((a, b) => sortKey(a).localeCompare(sortKey(b)));
  return sorted.flatMap((runtime) =>
    runtime.spec.images.map((image) => ({
      match: image.match,
      command: image.command,
      env: image.env ?? {},
      workingDir: resolveDirectory(baseOf(runtime), image.workingDir),
      source: `LocalRuntime ${sortKey(runtime)}`,
    })),
  );
}

/** The first rule whose glob matches the image. `*` also crosses `/`, since an image may or may not name its registry. */
export function matchImage(rules: readonly ImageRule[], image: string): ImageRule | undefined {
  return rules.find((rule) => picomatch.isMatch(image, rule.match, { bash: true, dot: true }));
}

function sortKey(runtime: LocalRuntime): string {
  return `${runtime.metadata.namespace}/${runtime.metadata.name}`;
}

function resolveDirectory(base: string, workingDir: string | undefined): string {
  if (workingDir === undefined) return base;
  return workingDir.startsWith("/") ? workingDir : `${base}/${workingDir}`;
}
