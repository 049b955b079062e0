/** `namespace/name` and file of each object in galley's answer to GET /config/objects. */
export function objectFiles(answer: unknown): readonly { readonly key: string; readonly file: string }[] {
  const list = typeof answer === "object" && answer !== null && "objects" in answer ? answer.objects : undefined;
  if (!Array.isArray(list)) return [];
  return list.flatMap(
    (entry: { object?: { metadata?: { namespace?: string; name?: string } }; file?: string; ownerFile?: string }) => {
      const file = entry.ownerFile ?? entry.file;
      const { namespace = "default", name = "" } = entry.object?.metadata ?? {};
      return file === undefined ? [] : [{ key: `${namespace}/${name}`, file }];
    },
  );
}
