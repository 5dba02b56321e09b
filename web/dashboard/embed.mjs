// Bundles the dashboard and writes everything that is built into the server as C++ arrays.
//   node embed.mjs BUILD_FOLDER SCHEMAS OUTPUT.cpp
// BUILD_FOLDER holds node_modules. Fails when the dashboard is larger, compressed, than it may be.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const COMPRESSED_BYTES_MAX = 60 * 1024;
const [buildFolder, schemas, output] = process.argv.slice(2).map((path) => resolve(path));
const here = dirname(fileURLToPath(import.meta.url));
const esbuild = createRequire(join(buildFolder, "package.json"))("esbuild");

const bundle = (entry, more) =>
  esbuild.buildSync({
    entryPoints: [join(here, entry)], bundle: true, minify: true, write: false, legalComments: "none",
    nodePaths: [join(buildFolder, "node_modules")], target: ["chrome100", "firefox100", "safari15"], ...more,
  }).outputFiles[0].contents;

const files = [
  ["/index.html", "text/html; charset=utf-8", readFileSync(join(here, "index.html"))],
  ["/app.js", "text/javascript; charset=utf-8",
    bundle("src/entry.tsx", { format: "esm", jsx: "automatic", jsxImportSource: "preact" })],
  ["/app.css", "text/css; charset=utf-8", bundle("app.css", {})],
  ["/favicon.svg", "image/svg+xml", readFileSync(join(here, "favicon.svg"))],
];

const array = (name, bytes) => {
  const lines = [];
  for (let i = 0; i < bytes.length; i += 40) lines.push([...bytes.subarray(i, i + 40)].join(","));
  return `constexpr unsigned char ${name}[] = {\n${lines.join(",\n")}};\n`;
};

let compressed = 0;
let arrays = "";
let rows = "";
files.forEach(([path, type, content], index) => {
  const plain = Buffer.from(content);
  const gzip = gzipSync(plain, { level: 9 });
  compressed += gzip.length;
  const etag = createHash("sha256").update(plain).digest("hex").slice(0, 16);
  arrays += array(`plain_${index}`, plain) + array(`gzip_${index}`, gzip);
  rows += `    {"${path}", "${type}", "\\"${etag}\\"", plain_${index}, gzip_${index}},\n`;
});
if (compressed > COMPRESSED_BYTES_MAX) {
  console.error(`The dashboard has ${compressed} bytes compressed; ${COMPRESSED_BYTES_MAX} are allowed.`);
  process.exit(1);
}

mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, `// Written by web/dashboard/embed.mjs.
#include "web/assets.h"

namespace lunaris::web {

namespace {

${arrays}
constexpr Asset table[] = {
${rows}};

}  // namespace

std::span<const Asset> assets() noexcept {
  return table;
}

std::string_view schemas_text() noexcept {
  return R"SCHEMAS(${JSON.stringify(JSON.parse(readFileSync(schemas, "utf8")))})SCHEMAS";
}

}  // namespace lunaris::web
`);
console.log(`dashboard: ${compressed} bytes compressed`);
