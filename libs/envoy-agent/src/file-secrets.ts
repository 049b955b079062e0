import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";

/** What the files behind a secret's name hold, PEM. */
export type FileSecret =
  | { readonly kind: "certificate"; readonly certChainPem: string; readonly privateKeyPem: string }
  | { readonly kind: "trust"; readonly rootsPem: string };

/** Authorities that this machine trusts, PEM. */
export type SystemRoots = () => readonly string[];

/**
 * Secrets that Istio's control plane names after files beside the proxy: `file-cert:CHAIN~KEY`, `file-root:PATH`, and `file-root:system`
 * for the authorities that the machine trusts. Undefined for every other name; a promise of undefined when a file cannot be read.
 */
export function fileSecret(
  name: string,
  systemRoots: SystemRoots = machineRoots,
): Promise<FileSecret | undefined> | undefined {
  if (name === "file-root:system") {
    return Promise.resolve({ kind: "trust", rootsPem: systemRoots().join("\n") });
  }
  if (name.startsWith(ROOT)) {
    return texts(name.slice(ROOT.length)).then((found) => found && { kind: "trust", rootsPem: found[0] ?? "" });
  }
  if (!name.startsWith(CERTIFICATE)) return undefined;
  const [chain = "", key = ""] = name.slice(CERTIFICATE.length).split("~");
  return texts(chain, key).then(
    (found) => found && { kind: "certificate", certChainPem: found[0] ?? "", privateKeyPem: found[1] ?? "" },
  );
}

const ROOT = "file-root:";
const CERTIFICATE = "file-cert:";

/** All of the files, or undefined when one is missing. */
async function texts(...paths: readonly string[]): Promise<readonly string[] | undefined> {
  try {
    return await Promise.all(paths.map((path) => readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** The operating system's authorities; those that Node.js brings where it has none. */
function machineRoots(): readonly string[] {
  const system = getCACertificates("system");
  return system.length > 0 ? system : getCACertificates("bundled");
}
