// The HTML of the product page. Everything that came from another service is escaped.

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escapeHtml = (value) => String(value).replace(/[&<>"']/g, (character) => escapes[character]);

const style = `
:root { color-scheme: light dark; --ink: #16324a; --paper: #fbfaf6; --line: #d9d3c3; --accent: #b5432e; --muted: #6a7783; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7edf2; --paper: #12202c; --line: #2c4153; --accent: #f08b72; --muted: #9fb0bd; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 Georgia, "Times New Roman", serif; color: var(--ink); background: var(--paper); }
header { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; justify-content: space-between; padding: 1rem clamp(1rem, 5vw, 4rem); border-bottom: 1px solid var(--line); font-family: system-ui, sans-serif; }
header strong { letter-spacing: .04em; }
form, .session { display: flex; gap: .5rem; align-items: center; }
input, button { font: inherit; padding: .35rem .6rem; border: 1px solid var(--line); border-radius: 6px; background: transparent; color: inherit; }
button { cursor: pointer; border-color: var(--accent); color: var(--accent); }
main { max-width: 64rem; margin: 0 auto; padding: 2.5rem clamp(1rem, 5vw, 4rem); }
h1 { font-size: clamp(1.8rem, 4vw, 2.8rem); line-height: 1.15; margin: 0 0 .5rem; }
.lead { max-width: 46ch; color: var(--muted); margin: 0 0 2.5rem; }
.columns { display: grid; gap: 3rem; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
h2 { font: 600 .85rem/1 system-ui, sans-serif; letter-spacing: .12em; text-transform: uppercase; color: var(--muted); margin: 0 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { color: var(--muted); } dd { margin: 0; }
blockquote { margin: 0 0 1.5rem; padding-left: 1rem; border-left: 3px solid var(--line); }
blockquote p { margin: 0 0 .25rem; } small { color: var(--muted); font-family: system-ui, sans-serif; }
.stars { font-size: 1.15rem; letter-spacing: .1em; } .stars.black { color: var(--ink); } .stars.red { color: var(--accent); }
.error { color: var(--accent); }
`;

function detailsBlock({ value }) {
  if (value.error !== undefined)
    return `<p class="error">Error fetching product details! ${escapeHtml(value.error)}</p>`;
  const rows = Object.entries(value).filter(([key]) => key !== "id" && key !== "via");
  return `<dl>${rows.map(([key, text]) => `<dt>${escapeHtml(key)}</dt><dd>${escapeHtml(text)}</dd>`).join("")}</dl>`;
}

function starsLine(rating) {
  if (rating === undefined) return "";
  if (rating.error !== undefined) return `<p class="error">${escapeHtml(rating.error)}</p>`;
  const count = Math.max(0, Math.min(5, Number(rating.stars) || 0));
  const color = rating.color === "red" ? "red" : "black";
  return `<p class="stars ${color}" aria-label="${count} of 5 stars">${"★".repeat(count)}${"☆".repeat(5 - count)}</p>`;
}

function reviewsBlock({ value }) {
  if (value.error !== undefined)
    return `<p class="error">Error fetching product reviews! ${escapeHtml(value.error)}</p>`;
  const quotes = value.reviews.map(
    ({ reviewer, text, rating }) =>
      `<blockquote><p>${escapeHtml(text)}</p>${starsLine(rating)}<small>— ${escapeHtml(reviewer)}</small></blockquote>`,
  );
  return `${quotes.join("")}<small>Reviews served by: ${escapeHtml(value.podname ?? "unknown")} (${escapeHtml(value.version ?? "")})</small>`;
}

function sessionBlock(user) {
  if (user !== undefined)
    return `<div class="session">Signed in as <b>${escapeHtml(user)}</b> <a href="/logout">Sign out</a></div>`;
  return `<form method="post" action="/login"><input name="username" placeholder="User name" aria-label="User name" required><button>Sign in</button></form>`;
}

export function page({ product, user, details, reviews }) {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(product.title)} · Bookinfo</title><style>${style}</style></head>
<body>
<header><strong>Bookinfo</strong>${sessionBlock(user)}</header>
<main>
<h1>${escapeHtml(product.title)}</h1>
<p class="lead">${escapeHtml(product.descriptionHtml)}</p>
<div class="columns">
<section><h2>Book Details</h2>${detailsBlock(details)}</section>
<section><h2>Book Reviews</h2>${reviewsBlock(reviews)}</section>
</div>
</main>
</body>
</html>
`;
}
