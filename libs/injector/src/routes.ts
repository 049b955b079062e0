import type { FastifyPluginAsync } from "fastify";
import { badReview } from "./errors.ts";
import type { Injector, WebhookPlace } from "./injector.ts";

/**
 * The injector's webhook: `POST /inject`, and `POST /inject/cluster/NAME/net/NAME` for clusters and networks of their own. What cannot be read is
 * answered 400, which an API server treats by the webhook's `failurePolicy`.
 */
export function injectorRoutes(injector: Injector): FastifyPluginAsync {
  return async (app) => {
    app.post("/inject", async (request) => injector.review(request.body));
    app.post<{ Params: { "*": string } }>("/inject/*", async (request) =>
      injector.review(request.body, placeOf(request.params["*"])),
    );
  };
}

/** `cluster/c1/net/n1`. @throws LTN3901 for anything else. */
function placeOf(path: string): WebhookPlace {
  const words = path.split("/").filter((word) => word !== "");
  const place: { cluster?: string; network?: string } = {};
  for (let at = 0; at < words.length; at += 2) {
    const [name, value] = [words[at], words[at + 1]];
    if (value === undefined || !/^[\w.-]{1,253}$/.test(value)) throw badReview(`path /inject/${path.slice(0, 200)}`);
    if (name === "cluster") place.cluster = value;
    else if (name === "net") place.network = value;
    else throw badReview(`path /inject/${path.slice(0, 200)}: only cluster and net can be named`);
  }
  return place;
}
