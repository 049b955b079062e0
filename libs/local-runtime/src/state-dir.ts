import { join } from "node:path";
import { ensureDirectory } from "@lateen/runtime";
import { socketPathTooLong, stateNotWritable } from "./errors.ts";
import { lockHolder } from "./process/supervisor-lock.ts";

/** Where everything of one mesh lives. All directories are 0700, all files 0600. */
export interface StateDir {
  readonly root: string;
  readonly ca: string;
  readonly tokenKey: string;
  readonly tokenPub: string;
  readonly rootCert: string;
  readonly config: string;
  readonly registry: string;
  readonly podsFile: string;
  /** What pilot fetched of token issuers, which outlives it. */
  readonly issuerKeys: string;
  readonly logs: string;
  readonly pods: string;
  readonly volumes: string;
  /** Unix sockets of proxies whose admin interface cannot be reached from here. */
  readonly admin: string;
  readonly adminSocket: string;
  readonly controlSocket: string;
  /** Run directories of the control plane's components, when they run apart. */
  readonly components: string;
  /** Of a NATS server of this mesh's own. */
  readonly nats: string;
  readonly controlPlaneFile: string;
  readonly meshFile: string;
  readonly builtinFile: string;
  /** What was started and has to be reaped when the supervisor was killed. */
  readonly processesFile: string;
  /** Who supervises this mesh. */
  readonly lockFile: string;
}

/** Longest path that fits into `sockaddr_un` everywhere (108 bytes on Linux, 104 on BSD). */
const MAX_SOCKET_PATH = 103;

/** The layout below `root`; touches nothing. */
export function stateDir(root: string): StateDir {
  const ca = join(root, "ca");
  const registry = join(root, "registry");
  return {
    root,
    ca,
    tokenKey: join(root, "token-key.pem"),
    tokenPub: join(root, "token-pub.pem"),
    rootCert: join(ca, "root-cert.pem"),
    config: join(root, "config"),
    registry,
    podsFile: join(registry, "pods.json"),
    issuerKeys: join(root, "issuer-keys"),
    logs: join(root, "logs"),
    pods: join(root, "pods"),
    volumes: join(root, "volumes"),
    admin: join(root, "admin"),
    adminSocket: join(root, "admin.sock"),
    controlSocket: join(root, "control.sock"),
    components: join(root, "components"),
    nats: join(root, "nats"),
    controlPlaneFile: join(root, "control-plane.json"),
    meshFile: join(root, "mesh.json"),
    builtinFile: join(root, "builtin.yaml"),
    processesFile: join(root, "processes.jsonl"),
    lockFile: join(root, "supervisor.lock"),
  };
}

/** `$LATEEN_HOME/MESH`, by default `~/.lateen/MESH`. */
export function stateRootOf(mesh: string, env: Readonly<Record<string, string | undefined>>, home: string): string {
  return join(env.LATEEN_HOME || join(home, ".lateen"), mesh);
}

/**
 * Makes the directories.
 * @throws LTN7007 when the socket's path would be too long, LTN7013 when they cannot be made.
 */
export async function createStateDir(root: string): Promise<StateDir> {
  const layout = stateDir(root);
  if (Buffer.byteLength(layout.controlSocket) > MAX_SOCKET_PATH) throw socketPathTooLong(layout.controlSocket);
  for (const directory of [root, layout.ca, layout.config, layout.registry, layout.logs, layout.pods, layout.volumes]) {
    try {
      await ensureDirectory(directory, 0o700);
    } catch (error) {
      throw stateNotWritable(directory, error);
    }
  }
  return layout;
}

/** Process id of the supervisor that runs on this state directory, whether or not it answers. */
export function meshPid(state: StateDir): number | undefined {
  return lockHolder(state.lockFile);
}
