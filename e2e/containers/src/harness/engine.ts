import type { BuiltImage } from "@lateen/images";

/** What runs containers. */
export interface Engine {
  /** Address of this process on the network of the pods. */
  readonly gateway: string;
  /** Makes images known; their containers are started by reference. */
  load(images: readonly Image[]): Promise<void>;
  /** The network of a pod; its containers join it. */
  sandbox(name: string, sysctls: Readonly<Record<string, string>>): Promise<Sandbox>;
  start(spec: ContainerSpec): Promise<Container>;
  /** Ends everything that runs. */
  close(): Promise<void>;
}

export type Image = Omit<BuiltImage, "sbom">;

export interface Sandbox {
  readonly name: string;
  readonly address: string;
  close(): Promise<void>;
}

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly sandbox: Sandbox;
  /** Instead of the image's entry point. */
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly user: number;
  readonly group: number;
  readonly readOnly: boolean;
  /** Kept of those that an engine gives; all others are dropped. */
  readonly capabilities: readonly string[];
  readonly mounts: readonly Mount[];
  /** In bytes. */
  readonly memory?: number;
}

export interface Mount {
  /** A file or folder of this machine. */
  readonly from: string;
  readonly to: string;
  readonly readOnly: boolean;
}

export interface Finished {
  readonly code: number;
  readonly output: string;
}

export interface Container {
  readonly name: string;
  /** Its exit code, once it has ended. */
  readonly ended: Promise<number>;
  exec(argv: readonly string[]): Promise<Finished>;
  /** SIGTERM, and SIGKILL after so many seconds. @returns its exit code, 137 when it had to be killed. */
  stop(graceSeconds: number): Promise<number>;
  kill(): Promise<void>;
  /** What it has written so far. */
  log(): Promise<string>;
}
