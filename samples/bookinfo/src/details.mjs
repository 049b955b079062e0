// details: facts about a book. With ENABLE_EXTERNAL_BOOK_SERVICE=true they come from a catalogue outside the mesh.
import { getJson, healthRoute, propagated, sendJson, startService } from "./service.mjs";

const external = process.env.ENABLE_EXTERNAL_BOOK_SERVICE === "true";
const catalogue = process.env.CATALOGUE_URL ?? "http://catalogue.example.com";

const book = {
  author: "Richard Henry Dana",
  year: 1840,
  type: "hardcover",
  pages: 483,
  publisher: "Harper & Brothers",
  language: "English",
  "ISBN-10": "1840000000",
  "ISBN-13": "978-1840000009",
};

startService("details", [
  healthRoute,
  [
    "GET",
    /^\/details\/(\d+)$/,
    async (request, response, [, id]) => {
      if (!external) return sendJson(response, 200, { id: Number(id), ...book });
      const answer = await getJson(`${catalogue}/books/${id}`, propagated(request), 3_000).catch(() => undefined);
      if (answer?.status !== 200 || answer.json === undefined)
        return sendJson(response, 502, { error: "the book catalogue is unavailable" });
      sendJson(response, 200, { id: Number(id), ...answer.json });
    },
  ],
]);
