/** PEM text of DER bytes, with a final newline. */
export function toPem(label: string, der: Uint8Array): string {
  const body = Buffer.from(der.buffer, der.byteOffset, der.length).toString("base64");
  return `-----BEGIN ${label}-----\n${body.replace(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
}

/** Every certificate of a bundle as PEM text of its own; text between them is dropped. */
export function splitPem(bundle: string): readonly string[] {
  return (bundle.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g) ?? []).map(
    (block) => `${block}\n`,
  );
}

/** The bytes of a text that holds exactly one PEM block with one of these labels, or undefined. */
export function singlePem(text: string, labels: readonly string[]): Buffer | undefined {
  const match = /^\s*-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END ([A-Z0-9 ]+)-----\s*$/.exec(text);
  if (match?.[1] === undefined || match[1] !== match[3] || !labels.includes(match[1])) return undefined;
  return Buffer.from((match[2] ?? "").replace(/\s+/g, ""), "base64");
}
