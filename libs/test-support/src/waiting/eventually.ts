/**
 * Waits until `probe` returns something other than undefined. Real processes give no event for "the new rule is in force", so the
 * condition itself is asked again and again; what was last seen is in the error.
 * @throws Error after `timeoutMs` with the last failure.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  timeoutMs = 15_000,
  everyMs = 40,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
      last = "not yet";
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms (${String(last)})`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
