export { applyCapture, type RulesTarget, removeCapture } from "./apply.ts";
export { type CaptureCommand, type CaptureSurroundings, captureCommand } from "./command.ts";
export { type CaptureOptions, captureOptions, defaultCapture, type Selection } from "./options.ts";
export {
  type AskOriginalDestination,
  loadOriginalDestination,
  type OriginalDestination,
} from "./original-destination.ts";
export { captureRules, withCapture, withoutCapture } from "./rules.ts";
export { type CaptureProgram, runCapture } from "./run-command.ts";
