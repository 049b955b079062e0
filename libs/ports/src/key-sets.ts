/**
 * Keeps what token issuers published last, so that a restart while an issuer cannot be reached loses nothing. Public keys: no secrets, but whoever
 * can write here decides whose tokens are good. Replicas may share one.
 */
export interface KeySetStore {
  /** Key sets by the URL that they were fetched from. What cannot be read of them is left out. */
  load(): Promise<ReadonlyMap<string, string>>;
  /** Replaces the key set of one URL; `undefined` forgets it. The others stay as they are, whoever writes them. */
  save(url: string, keys: string | undefined): Promise<void>;
}
