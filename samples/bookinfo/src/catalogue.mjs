// A book catalogue that is NOT part of the mesh: the external host of rules/egress.yaml. Start it by hand: node src/catalogue.mjs
import { sendJson, startService } from "./service.mjs";

process.env.PORT ??= "7070";

startService("catalogue", [
  [
    "GET",
    /^\/books\/(\d+)$/,
    (request, response) =>
      sendJson(response, 200, {
        author: "Richard Henry Dana",
        year: 1840,
        type: "paperback",
        pages: 416,
        publisher: "an external catalogue",
        language: "English",
        "ISBN-10": "1840000001",
        "ISBN-13": "978-1840000016",
        via: request.headers["x-envoy-decorator-operation"] ?? request.headers.via ?? "",
      }),
  ],
]);
