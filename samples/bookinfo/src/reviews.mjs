// reviews: two readers' opinions. v1 shows no stars, v2 black ones, v3 red ones; v2 and v3 ask ratings.
import { getJson, healthRoute, propagated, sendJson, startService } from "./service.mjs";

const version = process.env.SERVICE_VERSION ?? "v1";
const color = { v2: "black", v3: "red" }[version];
const ratingsUrl = `http://${process.env.RATINGS_HOSTNAME ?? "ratings"}:${process.env.RATINGS_SERVICE_PORT ?? 9080}/ratings`;
const podname = process.env.POD_NAME ?? process.env.HOSTNAME ?? "unknown";

const opinions = [
  { reviewer: "Reviewer1", text: "Salt on every page. Two years at sea told by someone who hauled the lines himself." },
  { reviewer: "Reviewer2", text: "I came for the voyage round the Horn and stayed for the plain, exact prose." },
];

async function stars(request, id) {
  const answer = await getJson(`${ratingsUrl}/${id}`, propagated(request), 10_000).catch(() => undefined);
  return answer?.status === 200 ? answer.json?.ratings : undefined;
}

startService(`reviews-${version}`, [
  healthRoute,
  [
    "GET",
    /^\/reviews\/(\d+)$/,
    async (request, response, [, id]) => {
      const ratings = color === undefined ? undefined : await stars(request, id);
      const reviews = opinions.map((opinion) => {
        if (color === undefined) return opinion;
        if (ratings === undefined) return { ...opinion, rating: { error: "Ratings service is currently unavailable" } };
        return { ...opinion, rating: { stars: ratings[opinion.reviewer] ?? -1, color } };
      });
      sendJson(response, 200, { id, podname, version, reviews }, { "x-reviews-version": version });
    },
  ],
]);
