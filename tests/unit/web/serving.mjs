// A service in this process, for modules that talk to one.

import { createServer } from "node:http";

// A service that answers as the handlers say, one for each request.
export async function served(handlers, act) {
  const seen = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => {
      body += piece;
    });
    request.on("end", () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, body });
      handlers.shift()(response);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}/under/`;
  const before = globalThis.fetch;
  // In a browser addresses are relative to the page's.
  globalThis.fetch = (path, options) => before(new URL(path, base), options);
  try {
    await act();
  } finally {
    globalThis.fetch = before;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  return seen;
}

export const json =
  (document, status = 200, type = "application/json") =>
  (response) => {
    response.writeHead(status, { "Content-Type": type }).end(JSON.stringify(document));
  };
export const stream = (text) => (response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" }).end(text);
};
export const event = (id, kind, data) =>
  `id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
export const keys = (current = "") => ({ current, ask: async () => false });
