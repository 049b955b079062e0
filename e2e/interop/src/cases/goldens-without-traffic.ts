/** Goldens whose requests are not compared, and why. */
export const withoutTraffic: Readonly<Record<string, string>> = {
  "dr-tunnel": "Envoy speaks CONNECT to the tunnel, our proxy is kept from such destinations and says so",
  "ef-extension-config": "a Lua filter, which our proxy is kept from; extensions.test.ts has it",
  "ef-http-filter": "Lua and local rate limits, which our proxy is kept from; extensions.test.ts has them",
  "wasm-plugin": "WebAssembly, which our proxy is kept from; extensions.test.ts has it",
  "ef-withheld": "filters that our proxy is kept from",
  "ef-listener": "the listener that is added there has a filter that our proxy does not have",
};

/** Of others, destinations that are not compared. */
export const destinationsWithoutTraffic: Readonly<Record<string, string>> = {
  "tcp://198.51.100.30:5000": "Envoy speaks POST to the tunnel, our proxy is kept from such destinations and says so",
};
