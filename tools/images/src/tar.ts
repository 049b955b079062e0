/** One entry of a layer. Owner is root, time is the epoch: equal content gives equal bytes. */
export interface TarEntry {
  /** Without a leading slash; of a directory with a slash at the end. */
  readonly path: string;
  readonly mode: number;
  readonly content?: Uint8Array;
  /** Target of a symbolic link. */
  readonly link?: string;
}

const BLOCK = 512;
const NAME_LENGTH = 100;
const PREFIX_LENGTH = 155;

/** A tar archive (POSIX ustar). @throws RangeError for a path that ustar cannot hold. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    parts.push(header(entry));
    const { content } = entry;
    if (content === undefined || content.length === 0) continue;
    parts.push(Buffer.from(content.buffer, content.byteOffset, content.length));
    const rest = content.length % BLOCK;
    if (rest > 0) parts.push(Buffer.alloc(BLOCK - rest));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

function header({ path, mode, content, link }: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const [prefix, name] = split(path);
  const number = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  block.write(name, 0, "utf8");
  number(mode, 100, 8);
  number(0, 108, 8);
  number(0, 116, 8);
  number(content?.length ?? 0, 124, 12);
  number(0, 136, 12);
  block.fill(" ", 148, 156);
  block.write(path.endsWith("/") ? "5" : link === undefined ? "0" : "2", 156, "latin1");
  if (link !== undefined) block.write(link, 157, "utf8");
  block.write("ustar\x0000", 257, "latin1");
  block.write(prefix, 345, "utf8");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function split(path: string): readonly [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME_LENGTH) return ["", path];
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    const fits = Buffer.byteLength(prefix) <= PREFIX_LENGTH && Buffer.byteLength(name) <= NAME_LENGTH;
    if (fits && name !== "") return [prefix, name];
  }
  throw new RangeError(`"${path}" is too long for a tar archive`);
}
