// What bundled code takes for globals of these names. Node defines them with getters, each use of which is a call.
export const Buffer = globalThis.Buffer;
export const performance = globalThis.performance;
