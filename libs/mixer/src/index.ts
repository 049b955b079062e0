export { createMixer, type Mixer, type MixerLimits, type MixerOptions } from "./mixer.ts";
export { MIXER_PROVIDER } from "./provider.ts";
