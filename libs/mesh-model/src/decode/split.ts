/** One document of a multi-document text. `line` counts the lines before it. */
export interface DocumentText {
  readonly text: string;
  readonly line: number;
}

const BLANK = /^(?:[ \t]*(?:#.*|%.*)?)$/;

/**
 * Splits at the markers `---` and `...` before anything is parsed, so that a syntax error in one document cannot swallow the
 * next. By the YAML rules such a line at column one is always a marker, even inside a block scalar. Empty documents are left out.
 */
export function splitDocuments(text: string): readonly DocumentText[] {
  const documents: DocumentText[] = [];
  let startLine = 0;
  let startOffset = 0;
  let blank = true;
  const close = (endOffset: number) => {
    if (!blank) documents.push({ text: text.slice(startOffset, endOffset), line: startLine });
    blank = true;
  };
  let offset = 0;
  for (let line = 0; offset <= text.length; line++) {
    const newline = text.indexOf("\n", offset);
    const end = newline < 0 ? text.length : newline;
    const next = newline < 0 ? text.length + 1 : newline + 1;
    const content = text.slice(offset, text[end - 1] === "\r" && end > offset ? end - 1 : end);
    if (isMarker(content, "---")) {
      close(offset);
      startLine = line;
      startOffset = offset;
      blank = BLANK.test(content.slice(3));
    } else if (isMarker(content, "...")) {
      close(offset);
      startLine = line + 1;
      startOffset = next;
    } else if (blank && !BLANK.test(content)) {
      blank = false;
    }
    offset = next;
  }
  close(text.length);
  return documents;
}

function isMarker(line: string, marker: string): boolean {
  if (!line.startsWith(marker)) return false;
  const after = line[3];
  return after === undefined || after === " " || after === "\t";
}
