/** A hundred and more HTTP/1 requests that must be refused: name and bytes. Written from RFC 9110 and RFC 9112. */
export function hostileHeads(): readonly (readonly [name: string, bytes: Buffer])[] {
  const heads: [string, Buffer][] = [];
  const add = (name: string, text: string) => heads.push([name, Buffer.from(text, "latin1")]);
  const get = (name: string, ...lines: readonly string[]) =>
    add(name, `GET / HTTP/1.1\r\nHost: a.example.com\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);
  const post = (name: string, lines: readonly string[], body = "") =>
    add(name, `POST / HTTP/1.1\r\nHost: a.example.com\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${body}`);
  const start = (name: string, line: string) => add(name, `${line}\r\nHost: a.example.com\r\n\r\n`);

  // Which host?
  get("two Host headers", "Host: b.example.com");
  get("two equal Host headers", "Host: a.example.com");
  add("no Host", "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n");
  for (const host of ["a b", "a/b", "a,b", "a@b", "a#b", "a?b", "a\\b", "a:b", "[::1", "a\x01"])
    add(`Host: ${host}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);

  // Where does the body end?
  post("CL and TE", ["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n");
  post("TE and CL", ["Transfer-Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n");
  post("two different CL", ["Content-Length: 5", "Content-Length: 6"], "hello!");
  for (const value of ["-1", "+5", "5 5", "0x5", "5,6", "5;", "", "five", "1e1", "99999999999999999999", "5.0", "٥"])
    post(`Content-Length: ${value}`, [`Content-Length: ${value}`], "hello");
  for (const value of [
    "identity",
    "gzip",
    "gzip, chunked",
    "chunked, chunked",
    "chunked, identity",
    "xchunked",
    "chunkedx",
    '"chunked"',
    "chunked;q=1",
    ", chunked,x",
    "\x0bchunked",
  ])
    post(`Transfer-Encoding: ${value}`, [`Transfer-Encoding: ${value}`], "0\r\n\r\n");
  post("two TE", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], "0\r\n\r\n");
  post("TE in HTTP/1.1 with space before the colon", ["Transfer-Encoding : chunked"], "0\r\n\r\n");
  add("TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");

  // The request line.
  for (const line of [
    "GET /",
    "GET",
    "/ HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    " GET / HTTP/1.1",
    "GET\t/ HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET / HTTP/1.1 x",
    "GET / HTTP/2.0",
    "GET / HTTP/3.0",
    "GET / HTTP/0.9",
    "GET / HTTP/1.2.3",
    "GET / HTTP/11",
    "GET / http/1.1",
    "GET / HTTPS/1.1",
    "GET / HTTP/1.x",
    "GET / HTTP /1.1",
    "G(T / HTTP/1.1",
    "G@T / HTTP/1.1",
    "GET: / HTTP/1.1",
    "GE\x00T / HTTP/1.1",
    "GET /#fragment HTTP/1.1",
    "GET /a#b HTTP/1.1",
    "GET /a?b#c HTTP/1.1",
    "GET http://a.example.com/#x HTTP/1.1",
    "GET /a\x00b HTTP/1.1",
    "GET /a\x7fb HTTP/1.1",
    "GET /a\x01b HTTP/1.1",
    "GET a HTTP/1.1",
    "GET * HTTP/1.1",
    "GET ?a HTTP/1.1",
    "GET http:// HTTP/1.1",
    "GET http:///x HTTP/1.1",
    "GET ://a/ HTTP/1.1",
    "GET http://user@a.example.com/ HTTP/1.1",
    "GET ftp://a.example.com/ HTTP/1.1",
    "CONNECT / HTTP/1.1",
    "CONNECT a.example.com HTTP/1.1",
    "\x16\x03\x01 / HTTP/1.1",
  ])
    start(`request line ${JSON.stringify(line)}`, line);

  // Header lines.
  for (const line of [
    ": no-name",
    "no-colon",
    " leading-space: x",
    "name : x",
    "name\t: x",
    "na me: x",
    "na(me: x",
    "na@me: x",
    "na\x00me: x",
    "naïve: x",
    "name: a\x00b",
    "name: a\x01b",
    "name: a\x7fb",
    "name: a\rb",
    "name[]: x",
    "{name}: x",
    '"name": x',
    "name=value",
    "na,me: x",
    "na;me: x",
    "na/me: x",
    "na?me: x",
    "na\\me: x",
  ])
    get(`header line ${JSON.stringify(line)}`, line);
  get("folded header", "name: a", " b");
  get("folded header with a tab", "name: a", "\tb");

  // Line ends.
  add("bare LF everywhere", "GET / HTTP/1.1\nHost: a.example.com\n\n");
  add("bare LF after the request line", "GET / HTTP/1.1\nHost: a.example.com\r\n\r\n");
  add("bare LF between headers", "GET / HTTP/1.1\r\nHost: a.example.com\nX: y\r\n\r\n");
  add("bare LF at the end", "GET / HTTP/1.1\r\nHost: a.example.com\r\n\n");
  add("bare CR at the end", "GET / HTTP/1.1\r\nHost: a.example.com\r\r\n\r\n");
  add("CR only", "GET / HTTP/1.1\rHost: a.example.com\r\r");
  add("NUL bytes", "\x00\x00\x00\x00\r\n\r\n");
  add("only a line of garbage", "garbage\r\n\r\n");

  // Size.
  get("a header of 100 KB", `big: ${"x".repeat(100_000)}`);
  get("101 headers", ...Array.from({ length: 101 }, (_, index) => `x-${index}: y`));
  start("a path of 100 KB", `GET /${"p".repeat(100_000)} HTTP/1.1`);
  get("20 headers of 5 KB", ...Array.from({ length: 20 }, (_, index) => `x-${index}: ${"y".repeat(5_000)}`));
  add("a request line that never ends", `GET /${"p".repeat(200_000)}`);
  return heads;
}
