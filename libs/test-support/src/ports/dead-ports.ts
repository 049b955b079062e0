/**
 * Ports of the loopback addresses on which nobody listens. A port that was free a moment ago is no such port: the next socket may get it, even
 * that of the program under test. These are reserved, and never given to a socket that asks for any.
 */
export const DEAD_PORTS: readonly [number, number] = [1, 2];
