import { messageOf } from "@lateen/kernel";

export interface GetOptions {
  readonly signal: AbortSignal;
  /** A longer answer counts as failed. */
  readonly maxBytes: number;
  readonly redirect: "error" | "follow";
}

/** Body of an answer of success; rejects for any other, and for one that is too long. */
export async function getText(url: string, { signal, maxBytes, redirect }: GetOptions): Promise<string> {
  const response = await fetch(url, { signal, redirect });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`answered ${response.status}`);
  }
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = "";
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`answered more than ${maxBytes} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** What went wrong; fetch wraps the system's error. */
export function reasonOf(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
}
