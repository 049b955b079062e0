import { chooseBackend, IO_CHOICES } from "../backend.ts";

const asked = IO_CHOICES.find((choice) => choice === process.env.LATEEN_IO_BACKEND);

/** What the tests of this library run on; LATEEN_IO_BACKEND=portable runs them all on the other one. */
export const testBackend = await chooseBackend(asked ?? "auto");
