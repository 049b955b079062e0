import type { Infer } from "../../schema/index.ts";
import { isBase64 } from "../../validation/base64.ts";
import type { KindContext } from "../index.ts";
import type { secretBody } from "./schema.ts";

type Body = Infer<typeof secretBody>;

/** core/v1 Secret. Values are never quoted in messages. */
export function validateSecret(body: Body, context: KindContext): void {
  for (const [key, value] of Object.entries(body.data ?? {})) {
    if (!isBase64(value.replaceAll(/\s/g, ""))) {
      context.check.at("data", key).error("the value is not base64", { hint: "use stringData for plain text" });
    }
  }
}

/** Folds `stringData` into `data`, as an API server does when it stores a Secret. */
export function normalizeSecret(body: Body): Body {
  const { stringData, ...rest } = body;
  if (stringData === undefined) return body;
  const data: Record<string, string> = { ...rest.data };
  for (const [key, value] of Object.entries(stringData)) data[key] = toBase64(value);
  return { ...rest, data };
}

function toBase64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}
