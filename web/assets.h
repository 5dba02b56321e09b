// What is built into the binary: the dashboard's files, compressed, and the API's schemas. The table is written by
// web/dashboard/embed.mjs at build time.
#pragma once

#include <span>
#include <string_view>

#include "web/http.h"

namespace lunaris::web {

struct Asset {
  std::string_view path;  // "/app.js"
  std::string_view content_type;
  std::string_view etag;  // in quotes, from the content
  std::span<const unsigned char> plain;
  std::span<const unsigned char> gzip;
};
[[nodiscard]] std::span<const Asset> assets() noexcept;
/// web/api/schemas.json.
[[nodiscard]] std::string_view schemas_text() noexcept;

/// GET and HEAD of the dashboard's files: compressed when the client takes that, 304 when it has them already.
[[nodiscard]] Response asset_response(const Request& request, std::span<const Asset> table);

}  // namespace lunaris::web
