/** A function's type, an export, a section: parts of a WebAssembly module, whose numbers here are all below 128. */
const I32 = 0x7f;
const END = 0x0b;
const constant = (value: number): readonly number[] => [0x41, ...signed(value)];

/** LEB128, signed. */
function signed(value: number): readonly number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    const last = rest >= -64 && rest < 64;
    bytes.push((rest & 127) | (last ? 0 : 128));
    if (last) return bytes;
  }
}

/** LEB128, unsigned. */
function unsigned(value: number): readonly number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >> 7)];
}

const vector = (items: readonly (readonly number[])[]): readonly number[] => [
  ...unsigned(items.length),
  ...items.flat(),
];
const name = (text: string): readonly number[] => vector([...Buffer.from(text)].map((byte) => [byte]));
const section = (id: number, content: readonly number[]): readonly number[] => [
  id,
  ...unsigned(content.length),
  ...content,
];
const body = (...code: readonly (readonly number[])[]): readonly number[] => {
  const bytes = [0, ...code.flat(), END];
  return [...unsigned(bytes.length), ...bytes];
};

/**
 * A plugin for Envoy (Proxy-Wasm 0.2.1) that adds a header to every response. As small as it gets, so that no compiler is needed.
 * @see https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
 */
export function responseHeaderModule(header: string, value: string): Buffer {
  const type = (parameters: number, results: number) => [
    0x60,
    ...vector(Array.from({ length: parameters }, () => [I32])),
    ...vector(Array.from({ length: results }, () => [I32])),
  ];
  const types = [type(0, 0), type(1, 1), type(3, 1), type(5, 1)];
  const RESPONSE_HEADERS = 2;
  const VALUE_AT = 256;
  const addHeader = [
    ...constant(RESPONSE_HEADERS),
    ...constant(0),
    ...constant(header.length),
    ...constant(VALUE_AT),
    ...constant(value.length),
    ...[0x10, 0],
  ];
  const DROP = 0x1a;
  const functions = [body(), body(constant(4096)), body(addHeader, [DROP], constant(0))];
  const exported = (what: string, kind: number, index: number) => [...name(what), kind, index];
  const data = (at: number, text: string) => [0, ...constant(at), END, ...name(text)];
  return Buffer.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector(types)),
    ...section(2, vector([[...name("env"), ...name("proxy_add_header_map_value"), 0, 3]])),
    ...section(3, vector([[0], [1], [2]])),
    ...section(5, vector([[0, 1]])),
    ...section(
      7,
      vector([
        exported("memory", 2, 0),
        exported("proxy_abi_version_0_2_1", 0, 1),
        exported("proxy_on_memory_allocate", 0, 2),
        exported("proxy_on_response_headers", 0, 3),
      ]),
    ),
    ...section(10, vector(functions)),
    ...section(11, vector([data(0, header), data(VALUE_AT, value)])),
  ]);
}
