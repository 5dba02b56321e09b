// Answers with the dashboard's files.
#include "web/assets.h"

#include <algorithm>

#include "web/problem.h"

namespace lunaris::web {

namespace {

std::string text_of(std::span<const unsigned char> bytes) {
  std::string text(bytes.size(), '\0');
  std::ranges::transform(bytes, text.begin(), [](unsigned char byte) { return static_cast<char>(byte); });
  return text;
}

bool takes_gzip(const Request& request) {
  const std::string_view accepted = request.header("accept-encoding");
  const std::size_t at = accepted.find("gzip");
  return at != std::string_view::npos && !accepted.substr(at + 4).starts_with(";q=0,") &&
         accepted.substr(at + 4) != ";q=0";
}

}  // namespace

Response asset_response(const Request& request, std::span<const Asset> table) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  const auto found = std::ranges::find(table, path == "/" ? "/index.html" : path, &Asset::path);
  if (found == table.end()) {
    return problem_response(
        request,
        {404, "no-such-path", "There is nothing here", "there is no such path.", "The dashboard is at /.", {}});
  }
  if (request.method != "GET" && request.method != "HEAD") {
    Response response = problem_response(request, {405,
                                                   "method-not-allowed",
                                                   "This method is not allowed here",
                                                   request.method + " is not allowed here.",
                                                   "Use GET, HEAD.",
                                                   {}});
    response.headers.emplace_back("Allow", "GET, HEAD");
    return response;
  }
  Response response;
  response.content_type = std::string(found->content_type);
  response.headers.emplace_back("ETag", found->etag);
  response.headers.emplace_back("Cache-Control", "no-cache");  // asked for each time, sent once
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (request.header("if-none-match") == found->etag) {
    response.status = 304;
  } else if (takes_gzip(request)) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = text_of(found->gzip);
  } else {
    response.body = text_of(found->plain);
  }
  return response;
}

}  // namespace lunaris::web
