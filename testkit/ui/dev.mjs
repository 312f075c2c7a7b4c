// Serves the admin interface's files from the source tree, and hands everything else to a gateway that runs: to work on the files
// without compiling.
//
//     node testkit/ui/dev.mjs http://127.0.0.1:8080 [PORT]

import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

const [gateway = "http://127.0.0.1:8080", port = "0"] = process.argv.slice(2);
const FOLDER = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../orchestrator-edge/ui");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
// The edge's own (src/ui.rs).
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const name = pathname === "/admin-ui/" ? "index.html" : pathname === "/admin-ui/login.html" ? "login.html" : pathname.match(/^\/admin-ui\/assets\/[^/]+\/(.+)$/)?.[1];
  if (!name) return forward(request, response);
  const file = path.join(FOLDER, path.normalize(decodeURIComponent(name)));
  if (!file.startsWith(FOLDER)) return response.writeHead(404).end();
  try {
    let bytes = await readFile(file);
    if (file.endsWith(".html")) bytes = bytes.toString().replaceAll("{{build}}", "dev");
    response.writeHead(200, { "content-type": `${TYPES[path.extname(file)]}; charset=utf-8`, "cache-control": "no-store", "content-security-policy": POLICY, "x-content-type-options": "nosniff" });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});

function forward(request, response) {
  const { hostname, port } = new URL(gateway);
  const onward = http.request({ hostname, port, method: request.method, path: request.url, headers: request.headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  request.pipe(onward);
}

server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/admin-ui/`));
