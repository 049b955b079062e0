import type { Infer } from "../../schema/index.ts";
import type { KindContext } from "../index.ts";
import type { localRuntimeBody } from "./schema.ts";

/** lateen.dev LocalRuntime. */
export function validateLocalRuntime(body: Infer<typeof localRuntimeBody>, context: KindContext): void {
  const check = context.check.at("spec", "images");
  if (body.spec.images.length === 0) check.error("at least one image is required");
  for (const [index, image] of body.spec.images.entries()) {
    if (image.match === "") check.at(index, "match").error("match must not be empty");
    if (image.command.length === 0) check.at(index, "command").error("command must not be empty");
    for (const name of Object.keys(image.env ?? {})) {
      if (name === "" || name.includes("=")) {
        check.at(index, "env", name).error("not a valid environment variable name", { part: "key" });
      }
    }
  }
}
