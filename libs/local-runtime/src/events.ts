import type { PodLine } from "./pod/dependencies.ts";

/** What the supervisor tells its front end. Everything here is for people; programs read the status. */
export type SupervisorEvent =
  | { readonly type: "notice"; readonly level: "info" | "warn" | "error"; readonly message: string }
  /** How far the start is; `waiting` names what is not ready, with its reason. */
  | {
      readonly type: "progress";
      readonly ready: number;
      readonly total: number;
      readonly waiting: readonly { readonly name: string; readonly reason: string }[];
    }
  | { readonly type: "ready" }
  | {
      readonly type: "config";
      readonly revision: number;
      readonly changed: readonly string[];
      readonly removed: readonly string[];
    }
  | { readonly type: "rejected"; readonly rejected: RejectedView }
  | { readonly type: "line"; readonly line: PodLine }
  | { readonly type: "control-plane-line"; readonly stream: "stdout" | "stderr"; readonly line: string };

/** An object that galley did not accept, as `status` shows it. */
export interface RejectedView {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly message: string;
}
