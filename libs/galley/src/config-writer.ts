import { encodeObject } from "@lateen/mesh-model";
import type { ConfigWriter } from "@lateen/ports";
import { refusedObjects } from "./errors.ts";
import type { Galley } from "./galley.ts";

/** Name of the source of objects that the mesh makes itself, in place of a file. */
const SOURCE = "self-registration";

/** Objects that the mesh makes are decided on by galley like everybody's. What it refuses is thrown as LTN2012. */
export function configWriter(galley: Pick<Galley, "apply" | "remove">): ConfigWriter {
  return {
    async write({ upserted, removed }) {
      const problems: string[] = [];
      if (upserted.length > 0) {
        const documents = upserted.map((object) => ({ file: SOURCE, text: JSON.stringify(encodeObject(object)) }));
        const { results } = await galley.apply(documents, { withoutAnalysis: true });
        for (const { action, errors } of results) if (action === "rejected") problems.push(...errors);
      }
      if (removed.length > 0) {
        const { results } = await galley.remove(removed);
        for (const { action, errors } of results) if (action === "rejected") problems.push(...errors);
      }
      if (problems.length > 0) throw refusedObjects(problems);
    },
  };
}
