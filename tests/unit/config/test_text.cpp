// JSON text: comments, trailing commas, where a syntax error is, members given twice.
#include <catch2/catch.hpp>

#include "server/config/json.h"

using namespace lunaris::config;

TEST_CASE("comments and trailing commas are allowed", "[config]") {
  const ParsedText parsed = parse_text("// the demo\n{ /* size */ \"a\": [1, 2,], \"b\": {\"c\": true,}, }");
  REQUIRE(parsed.problems.empty());
  CHECK(parsed.value.at("a").as_array().size() == 2);
  CHECK(parsed.value.at("b").at("c").as_bool());
}

TEST_CASE("a syntax error carries its line and column", "[config]") {
  const ParsedText parsed = parse_text("{\n  \"a\": 1,\n  \"b\" 2\n}");
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].line == 3);
  CHECK(parsed.problems[0].column == 7);
  CHECK(to_string(parsed.problems[0]).starts_with("error: line 3, column 7: not JSON here"));
}

TEST_CASE("a text that ends too early says so", "[config]") {
  const ParsedText parsed = parse_text("{\"a\": {");
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].detail == "the text ends in the middle of the document; a bracket or quote is missing.");
  CHECK(parse_text("").problems.size() == 1);
}

TEST_CASE("text after the end of the document is an error", "[config]") {
  const ParsedText parsed = parse_text("{}\n{}");
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].line == 2);
  CHECK(parsed.problems[0].detail == "there is more text after the end of the document.");
}

TEST_CASE("a member given twice in one object is an error", "[config]") {
  const ParsedText parsed =
      parse_text(R"({"volumes": {"a": {}, "b": {"size": 1, "size": 2}}, "x": [{"y": 1}, {"y": 2}]})");
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].pointer == "/volumes/b/size");
  CHECK(parsed.problems[0].detail == "given twice in one object; remove one of them.");
}

TEST_CASE("a text that nests too deeply is refused", "[config]") {
  const ParsedText parsed = parse_text(std::string(100000, '['));
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].detail == "objects and arrays are nested too deeply.");
}

TEST_CASE("a text above the size limit is refused", "[config]") {
  CHECK(parse_text(std::string((16U << 20) + 1, ' ')).problems.size() == 1);
}

TEST_CASE("pointers escape slash and tilde", "[config]") {
  CHECK(below("/volumes", "a/b~c") == "/volumes/a~1b~0c");
}
