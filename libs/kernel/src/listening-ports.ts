const FIRST = 20_000;
const COUNT = 12_000;

/**
 * Ports to listen on where the usual one is taken, from a place that `start` decides (any integer). All are below those that Linux
 * gives to outgoing connections (from 32768): no connection of anybody takes the port of a server that is being started again.
 * @param most how many; default 200.
 */
export function* listeningPorts(start: number, most = 200): Generator<number> {
  for (let i = 0; i < Math.min(most, COUNT); i++) yield FIRST + ((Math.abs(start) + i) % COUNT);
}
