// JSON text <-> values <-> Document. Everything wrong is collected, never thrown: the caller shows all of it at once.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "server/config/model.h"
#include "server/config/problem.h"

namespace lunaris::config {

/// Text to value. Comments and trailing commas are allowed; a member given twice is an error (the parser would keep the
/// last one silently). Syntax errors carry line and column.
struct ParsedText {
  boost::json::value value;
  Problems problems;
};
[[nodiscard]] ParsedText parse_text(std::string_view text);

/// Value to document: types, ranges, formats, unknown members. What needs two places of the document to see is
/// validate's business. On errors `document` holds what could be understood.
struct Decoded {
  Document document;
  Problems problems;
};
[[nodiscard]] Decoded decode(const boost::json::value& value);
/// Both steps.
[[nodiscard]] Decoded decode_text(std::string_view text);

/// Whether secrets are written out, or only that there is one ("chap_secret_set": true).
enum class Secrets : std::uint8_t { hidden, revealed };

/// Document to value, every member written out; decode(encode(d, Secrets::revealed)) is d. Sizes are integers.
[[nodiscard]] boost::json::object encode(const Document& document, Secrets secrets = Secrets::hidden);
[[nodiscard]] boost::json::object encode(const Portal& portal);
[[nodiscard]] boost::json::object encode(const Volume& volume);
[[nodiscard]] boost::json::object encode(const Target& target, Secrets secrets = Secrets::hidden);
[[nodiscard]] boost::json::object encode(const Auth& auth, Secrets secrets = Secrets::hidden);
[[nodiscard]] boost::json::object encode(const Server& server);
[[nodiscard]] boost::json::object encode(const Problem& problem);
[[nodiscard]] boost::json::array encode(const Problems& problems);

/// Indented text for people, members in the order they have.
[[nodiscard]] std::string pretty(const boost::json::value& value);

}  // namespace lunaris::config
