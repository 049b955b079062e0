import { journalConfigStore } from "../journal/journal-store.ts";
import { change, serviceEntry } from "./objects.ts";

/** Run as a program: commits without end and prints each revision once it is acknowledged. */
const store = journalConfigStore(process.argv[2] ?? "", { compactBytes: 4000 });
await store.load();
for (let revision = 1; ; revision++) {
  await store.commit(change(revision, [serviceEntry(`s${revision}`)]));
  process.stdout.write(`${revision}\n`);
}
