// productpage: the web page. Calls details and reviews, shows both, and says plainly what it could not get.
import { page } from "./page.mjs";
import { getJson, healthRoute, propagated, sendJson, startService } from "./service.mjs";

const port = process.env.BOOKINFO_PORT ?? 9080;
const detailsUrl = `http://${process.env.DETAILS_HOSTNAME ?? "details"}:${process.env.DETAILS_SERVICE_PORT ?? port}/details`;
const reviewsUrl = `http://${process.env.REVIEWS_HOSTNAME ?? "reviews"}:${process.env.REVIEWS_SERVICE_PORT ?? port}/reviews`;
const ratingsUrl = `http://${process.env.RATINGS_HOSTNAME ?? "ratings"}:${process.env.RATINGS_SERVICE_PORT ?? port}/ratings`;

const product = {
  id: 0,
  title: "Two Years Before the Mast",
  descriptionHtml:
    "A personal narrative of life at sea: from Boston round Cape Horn to California and back, written by an ordinary sailor.",
};

/** The signed-in user travels as the header `end-user`, which rules match on. */
function headersFor(request) {
  const user = /(?:^|;\s*)user=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
  const headers = propagated(request);
  if (user !== undefined) headers["end-user"] = decodeURIComponent(user);
  return headers;
}

async function fetchPart(what, url, headers, attempts) {
  for (let attempt = 1; ; attempt++) {
    const answer = await getJson(url, headers, 3_000).catch(() => undefined);
    if (answer?.status === 200 && answer.json !== undefined) return { status: 200, value: answer.json };
    if (attempt >= attempts) {
      const status = answer !== undefined && answer.status !== 200 ? answer.status : 503;
      return { status, value: { error: `Sorry, product ${what} are currently unavailable for this book.` } };
    }
  }
}

const details = (request, id) => fetchPart("details", `${detailsUrl}/${id}`, headersFor(request), 1);
const reviews = (request, id) => fetchPart("reviews", `${reviewsUrl}/${id}`, headersFor(request), 2);
const ratings = (request, id) => fetchPart("ratings", `${ratingsUrl}/${id}`, headersFor(request), 1);

function part(load) {
  return async (request, response, [, id]) => {
    const { status, value } = await load(request, id);
    sendJson(response, status, value);
  };
}

async function showPage(request, response) {
  const [book, opinions] = await Promise.all([details(request, 0), reviews(request, 0)]);
  const user = headersFor(request)["end-user"];
  const html = page({ product, user, details: book, reviews: opinions });
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-length": Buffer.byteLength(html) });
  response.end(html);
}

async function login(request, response) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 4_096) return sendJson(response, 413, { error: "too long" });
  }
  const user = new URLSearchParams(text).get("username") ?? "";
  response.writeHead(302, {
    location: "/productpage",
    "set-cookie": `user=${encodeURIComponent(user)}; Path=/; HttpOnly; SameSite=Lax`,
    "content-length": 0,
  });
  response.end();
}

function logout(_request, response) {
  response.writeHead(302, { location: "/productpage", "set-cookie": "user=; Path=/; Max-Age=0", "content-length": 0 });
  response.end();
}

startService("productpage", [
  healthRoute,
  ["GET", /^\/productpage$/, showPage],
  ["POST", /^\/login$/, login],
  ["GET", /^\/logout$/, logout],
  ["GET", /^\/api\/v1\/products$/, (_request, response) => sendJson(response, 200, [product])],
  ["GET", /^\/api\/v1\/products\/(\d+)$/, part(details)],
  ["GET", /^\/api\/v1\/products\/(\d+)\/reviews$/, part(reviews)],
  ["GET", /^\/api\/v1\/products\/(\d+)\/ratings$/, part(ratings)],
  [
    "GET",
    /^\/$/,
    (_request, response) => {
      response.writeHead(302, { location: "/productpage", "content-length": 0 });
      response.end();
    },
  ],
]);
