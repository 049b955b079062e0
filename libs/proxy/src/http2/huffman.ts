/**
 * Code length of every byte, and of EOS (256). The code is canonical, so that lengths say everything.
 * @see RFC 7541 appendix B
 */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const EOS = 256;
const LONGEST = 30;

/** Steps of the decoder by half byte: `state * 16 + bits` → next state << 9 | has symbol << 8 | symbol; -1 = no such code. */
const STEPS: Int32Array = buildSteps();
/** States in which a string may end: at a symbol's end, or within at most seven bits of padding with ones. */
const ACCEPTING: Uint8Array = buildAccepting();

/**
 * Decodes `bytes[start..end)` into `out` at `at`. Answers the offset behind what was written, or -1 when the coding is broken
 * (EOS inside, wrong or too long padding). `out` must have room for 8/5 of the input.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let state = 0;
  let to = at;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    let step = STEPS[state * 16 + (byte >> 4)] as number;
    if (step < 0) return -1;
    if ((step & 256) !== 0) out[to++] = step & 255;
    step = STEPS[(step >> 9) * 16 + (byte & 15)] as number;
    if (step < 0) return -1;
    if ((step & 256) !== 0) out[to++] = step & 255;
    state = step >> 9;
  }
  return ACCEPTING[state] === 1 ? to : -1;
}

interface Node {
  readonly children: [number, number];
  symbol: number;
}

function buildTree(): readonly Node[] {
  const nodes: Node[] = [{ children: [0, 0], symbol: -1 }];
  let code = 0;
  for (let length = 1; length <= LONGEST; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (LENGTHS[symbol] !== length) continue;
      let at = 0;
      for (let bit = length - 1; bit >= 0; bit--) {
        const { children } = nodes[at] as Node;
        const side = ((code >>> bit) & 1) as 0 | 1;
        if (children[side] === 0) {
          nodes.push({ children: [0, 0], symbol: -1 });
          children[side] = nodes.length - 1;
        }
        at = children[side];
      }
      (nodes[at] as Node).symbol = symbol;
      code++;
    }
    code <<= 1;
  }
  return nodes;
}

function buildSteps(): Int32Array {
  const nodes = buildTree();
  const steps = new Int32Array(nodes.length * 16).fill(-1);
  for (const [index] of nodes.entries()) {
    for (let bits = 0; bits < 16; bits++) steps[index * 16 + bits] = stepOf(nodes, index, bits);
  }
  return steps;
}

function stepOf(nodes: readonly Node[], from: number, bits: number): number {
  let at = from;
  let symbol = -1;
  for (let bit = 3; bit >= 0; bit--) {
    at = (nodes[at] as Node).children[((bits >> bit) & 1) as 0 | 1];
    if (at === 0) return -1;
    const found = (nodes[at] as Node).symbol;
    if (found === EOS) return -1;
    if (found < 0) continue;
    symbol = found;
    at = 0;
  }
  return (at << 9) | (symbol < 0 ? 0 : 256 | symbol);
}

function buildAccepting(): Uint8Array {
  const nodes = buildTree();
  const accepting = new Uint8Array(nodes.length);
  let at = 0;
  for (let ones = 0; ones <= 7; ones++) {
    accepting[at] = 1;
    at = (nodes[at] as Node).children[1];
  }
  return accepting;
}
