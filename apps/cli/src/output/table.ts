// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape that starts a colour
const COLOR = /\u001b\[\d+m/g;
const GAP = "   ";

/** Columns aligned as kubectl does: upper-case headers, three spaces between, nothing after the last column. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headers.map((header, column) =>
    Math.max(header.length, ...rows.map((row) => visibleLength(row[column] ?? ""))),
  );
  return [headers, ...rows].map((row) => `${line(row, widths)}\n`).join("");
}

function line(row: readonly string[], widths: readonly number[]): string {
  return widths
    .map((width, column) => {
      const cell = row[column] ?? "";
      return cell + " ".repeat(width - visibleLength(cell));
    })
    .join(GAP)
    .trimEnd();
}

function visibleLength(text: string): number {
  return text.replaceAll(COLOR, "").length;
}

/** `3d4h`, `5m12s`: how long ago, in the two largest units. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "m"],
    [1, "s"],
  ] as const;
  const parts: string[] = [];
  let rest = seconds;
  for (const [size, unit] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join("") || "0s";
}
