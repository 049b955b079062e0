export const PEER_METADATA = "istio.peer_metadata";

/** Where workload facts are read and told, each through the header pair. @see io.istio.http.peer_metadata.Config */
export interface PeerMetadataConfig {
  /** Read and strip the client's. */
  readonly readRequest: boolean;
  /** Tell our own to clients that told theirs. */
  readonly writeResponse: boolean;
  /** Strip the server's. */
  readonly readResponse: boolean;
  /** Tell our own to upstreams of the mesh. */
  readonly writeRequest: boolean;
}
