/** The SANs of a certificate that identities are made of. */
export interface CertificateNames {
  readonly uris: readonly string[];
  readonly dns: readonly string[];
}

/**
 * Reads node's text form of subjectAltName (`URI:spiffe://…, DNS:…`). A value that holds a comma or a control character comes
 * quoted as JSON, so that no certificate can smuggle in a second name.
 */
export function parseSubjectAltName(text: string | undefined): CertificateNames {
  const uris: string[] = [];
  const dns: string[] = [];
  let rest = text ?? "";
  while (rest !== "") {
    const colon = rest.indexOf(":");
    if (colon < 0) break;
    const type = rest.slice(0, colon).trim();
    const [value, left] = takeValue(rest.slice(colon + 1));
    if (type === "URI") uris.push(value);
    else if (type === "DNS") dns.push(value);
    rest = left;
  }
  return { uris, dns };
}

function takeValue(text: string): readonly [value: string, rest: string] {
  if (text.startsWith('"')) {
    let end = 1;
    while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
    const rest = text.slice(end + 1).replace(/^,\s*/, "");
    try {
      return [JSON.parse(text.slice(0, end + 1)) as string, rest];
    } catch {
      return ["", rest];
    }
  }
  const comma = text.indexOf(", ");
  return comma < 0 ? [text, ""] : [text.slice(0, comma), text.slice(comma + 2)];
}
