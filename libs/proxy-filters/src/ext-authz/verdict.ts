/** What an authorisation service said, whichever way it was asked. Values one character a byte. */
export type AuthzVerdict =
  | {
      readonly kind: "ok";
      readonly set: readonly HeaderPair[];
      /** Only where the request has the header already. */
      readonly append: readonly HeaderPair[];
      /** Beside what the request has. */
      readonly add: readonly HeaderPair[];
      readonly remove: readonly string[];
      readonly response: readonly ResponseHeader[];
      readonly querySet: readonly HeaderPair[];
      readonly queryRemove: readonly string[];
      readonly metadata: Readonly<Record<string, unknown>> | undefined;
    }
  | {
      readonly kind: "denied";
      readonly status: number;
      readonly body: string;
      readonly set: readonly HeaderPair[];
      readonly append: readonly HeaderPair[];
      readonly metadata: Readonly<Record<string, unknown>> | undefined;
    }
  /** Nobody could say. */
  | { readonly kind: "error"; readonly timeout: boolean; readonly detail: string };

export type HeaderPair = readonly [name: string, value: string];
export interface ResponseHeader {
  readonly name: string;
  readonly value: string;
  readonly action: "append" | "addIfAbsent" | "overwrite" | "overwriteIfPresent";
}
