/**
 * Fetches a small document over HTTP or HTTPS, following redirects: key sets, and what issuers publish of themselves. Rejects when it
 * is not there, too large or too slow.
 */
export type DocumentSource = (url: string, timeoutMs: number, signal: AbortSignal) => Promise<string>;
