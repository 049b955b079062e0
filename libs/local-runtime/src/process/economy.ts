/** How a Node.js process is started that is to hold many connections in little memory. */
export interface ProcessEconomy {
  /** Before the program's name. */
  readonly nodeFlags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Of sidecars and gateways. glibc otherwise gives each of their dozen threads an arena of its own, whose free parts no other thread
 * gets. With two, the agent does not wait for the workers.
 */
export const proxyEconomy: ProcessEconomy = {
  nodeFlags: [],
  env: { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "65536", MALLOC_TRIM_THRESHOLD_: "131072" },
};

/**
 * Of the control plane. V8's young generation may otherwise take more than 100 MB on a machine with much memory, for garbage; and glibc
 * otherwise learns from the first large block that such blocks belong between the small ones, where they leave holes when they go.
 * Neither changes what the process can do.
 */
export const controlPlaneEconomy: ProcessEconomy = {
  nodeFlags: ["--max-semi-space-size=8"],
  env: { MALLOC_MMAP_THRESHOLD_: "65536", MALLOC_TRIM_THRESHOLD_: "131072" },
};
