export { createMixer, type Mixer, type MixerLimits, type MixerOptions } from "./mixer.ts";
