import { watch } from "chokidar";

/** Regular files with other names are of no interest, however often they change. */
const INTERESTING = /\.(ya?ml|json)$/i;

export interface WatchHandlers {
  readonly onEvent: () => void;
  readonly onError: (error: unknown) => void;
}

export interface DirectoryWatch {
  /** The directories that matter from now on. */
  update(directories: readonly string[]): void;
  close(): Promise<void>;
}

/**
 * Reports that something directly inside one of the directories changed. Whole directories are watched, also for single files:
 * a watch on a file would follow the old file when another is renamed over it. Resolves once events are being seen.
 */
export async function watchDirectories(
  directories: readonly string[],
  handlers: WatchHandlers,
): Promise<DirectoryWatch> {
  const watched = new Set(directories);
  const watcher = watch([...watched], {
    depth: 0,
    ignoreInitial: true,
    atomic: false,
    followSymlinks: true,
    ignorePermissionErrors: true,
    ignored: (path, stats) => stats?.isFile() === true && !INTERESTING.test(path),
  });
  watcher.on("all", () => handlers.onEvent());
  // Also what chokidar itself would hold back, such as two changes within one tick of the file's time.
  watcher.on("raw", () => handlers.onEvent());
  watcher.on("error", (error) => handlers.onError(error));
  await new Promise<void>((resolve) => watcher.once("ready", () => resolve()));
  return {
    update(next) {
      const wanted = new Set(next);
      const added = [...wanted].filter((directory) => !watched.has(directory));
      const dropped = [...watched].filter((directory) => !wanted.has(directory));
      for (const directory of added) watched.add(directory);
      for (const directory of dropped) watched.delete(directory);
      if (added.length > 0) watcher.add(added);
      if (dropped.length > 0) watcher.unwatch(dropped);
    },
    close: () => watcher.close(),
  };
}
