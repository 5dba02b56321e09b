// The tables, the checking of options, and the small parts every back end shares.
#include <set>

#include "backends/options.h"
#include "tests/unit/backends/test_stack.h"

using namespace lunaris::backends;
using namespace lunaris::backends::test;

namespace {

std::string problems_of(std::string_view text) {
  std::string lines;
  for (const OptionProblem& problem : check_backend(object(text))) {
    lines += problem.pointer + " " + problem.detail + "\n";
  }
  return lines;
}

}  // namespace

TEST_CASE("every row of the tables has a name of its own and a summary and options that check",
          "[backends][registry]") {
  std::set<std::string_view> names;
  for (const BackendKind& kind : backend_kinds()) {
    INFO(kind.name);
    CHECK(names.insert(kind.name).second);
    CHECK_FALSE(kind.summary.empty());
    CHECK(check_backend(object(kind.example)).empty());
    CHECK(object(kind.example).at("type").as_string() == kind.name);
  }
  for (const FilterKind& kind : filter_kinds()) {
    INFO(kind.name);
    CHECK(names.insert(kind.name).second);
    CHECK_FALSE(kind.summary.empty());
    CHECK(kind.check(object(kind.example)).empty());
    CHECK(object(kind.example).at("type").as_string() == kind.name);
  }
}

TEST_CASE("all problems of a back end are told at once with JSON pointers", "[backends][registry]") {
  CHECK(problems_of(R"({"type": "file", "direct_io": 1, "queue_depth": 0, "allocate": "ful", "pathh": "x",
                        "filters": [{"type": "delay", "ms": -1}, 5, {"type": "falt"}, {"type": "fault"}]})") ==
        "/path is missing\n"
        "/direct_io must be true or false\n"
        "/allocate must be one of \"sparse\", \"full\"; did you mean \"full\"?\n"
        "/queue_depth must be a whole number from 1 to 1024\n"
        "/pathh is not known here; did you mean \"path\"?\n"
        "/filters/0/ms must be a whole number from 0 to 600000\n"
        "/filters/1 must be an object with a \"type\"\n"
        "/filters/2/type must be one of \"delay\" \"fault\"; did you mean \"fault\"?\n"
        "/filters/3/operation is missing\n");
}

TEST_CASE("a missing or unknown kind of back end is told", "[backends][registry]") {
  CHECK(problems_of("{}") == "/type is missing\n");
  CHECK(problems_of(R"({"type": "memroy"})") ==
        "/type must be one of \"file\" \"memory\" \"null\"; did you mean \"memory\"?\n");
  CHECK(problems_of(R"({"type": 7})") == "/type must be one of \"file\" \"memory\" \"null\"\n");
}

TEST_CASE("unknown members are refused in every kind", "[backends][registry]") {
  CHECK(problems_of(R"({"type": "null", "size": 1})") == "/size is not known here\n");
  CHECK(problems_of(R"({"type": "memory", "filter": []})") == "/filter is not known here; did you mean \"filters\"?\n");
  CHECK(problems_of(R"({"type": "null", "a/b~c": 1})") == "/a~1b~0c is not known here\n");
}

TEST_CASE("options of filters that contradict each other are refused", "[backends][registry]") {
  CHECK(problems_of(R"({"type": "null", "filters": [{"type": "delay", "ms": 5, "ms_max": 9}]})") ==
        "/filters/0/ms give either \"ms\" or \"ms_min\" and \"ms_max\"\n");
  CHECK(problems_of(R"({"type": "null", "filters": [{"type": "delay", "ms_min": 9, "ms_max": 5}]})") ==
        "/filters/0/ms_min must not be above \"ms_max\"\n");
  CHECK(problems_of(R"({"type": "null", "filters": [{"type": "delay", "ms": 5, "for": ["read", "wriet"]}]})") ==
        "/filters/0/for/1 must be one of \"read\", \"write\", \"flush\", \"discard\", \"write_zeroes\"; did you mean "
        "\"write\"?\n");
  CHECK(problems_of(R"({"type": "null", "filters": [
            {"type": "fault", "operation": "read", "every": 2, "probability": 0.5, "error": "short_write"}]})") ==
        "/filters/0/probability give either \"every\" or \"probability\", not both\n"
        "/filters/0/error \"short_write\" is for the operation \"write\"\n");
}

TEST_CASE("more filters than the limit are refused", "[backends][registry]") {
  std::string text = R"({"type": "null", "filters": [{"type": "delay", "ms": 0})";
  for (std::size_t i = 0; i < filters_max; ++i) text += R"(, {"type": "delay", "ms": 0})";
  CHECK(problems_of(text + "]}") == "/filters must be a list of at most 8 filters\n");
}

TEST_CASE("opening with wrong options says in one line what is wrong", "[backends][registry]") {
  std::string reason;
  const auto opened = open_backend({"v", 4096, false, false, "/"}, object(R"({"type": "file", "x": 1})"), reason);
  CHECK(opened.error() == make_error_code(BackendError::not_supported));
  CHECK(reason == "/path: is missing; /x: is not known here");
}

TEST_CASE("devices without a size of their own want one", "[backends][registry]") {
  std::string reason;
  CHECK(open_backend({"v", 0, false, true, "/"}, object(R"({"type": "null"})"), reason).has_error());
  CHECK(reason == "volume \"v\" needs a size: a null back end has none of its own");
  CHECK(open_backend({"v", 0, false, true, "/"}, object(R"({"type": "memory"})"), reason).has_error());
  CHECK(reason == "volume \"v\" needs a size: a memory back end has none of its own");
}

TEST_CASE("every error has a sentence of its own", "[backends][errors]") {
  std::set<std::string> sentences;
  for (int value = 1; value <= static_cast<int>(BackendError::out_of_range); ++value) {
    const std::string sentence = backend_category().message(value);
    CHECK(sentence.find("unknown") == std::string::npos);
    CHECK(sentences.insert(sentence).second);
  }
  CHECK(backend_category().message(99) == "unknown back-end error 99");
  CHECK(make_error_code(BackendError::gone).category() == backend_category());
}

TEST_CASE("a payload keeps its segments in order and copies them out", "[backends][payload]") {
  const Bytes bytes = pattern(100, 1);
  Payload payload;
  payload.append(std::span(bytes).first(1));
  payload.append({});
  payload.append(std::span(bytes).subspan(1, 60));
  payload.append(std::span(bytes).subspan(61));
  CHECK(payload.size_bytes() == 100);
  CHECK(payload.segments().size() == 3);
  const Payload moved = std::move(payload);
  Bytes out(100);
  moved.copy_to(out);
  CHECK(out == bytes);
}

TEST_CASE("the memory device gives its own pages out and keeps them valid after a discard", "[backends][memory]") {
  TestStack stack(object(R"({"type": "memory"})"), std::uint64_t{1} << 20);
  REQUIRE(stack.write(65536 - 512, pattern(65536, 1)).has_value());
  BlockChannel& channel = stack.channel();
  const auto read = [&channel] { return channel.read({65536 - 512, 65536}); };
  const Result<Payload> first = stack.worker().call(read);
  const Result<Payload> second = stack.worker().call(read);
  REQUIRE(first->segments().size() == 2);
  for (std::size_t i = 0; i < 2; ++i) CHECK(first->segments()[i].iov_base == second->segments()[i].iov_base);
  REQUIRE(stack.discard({0, std::uint64_t{1} << 20}).has_value());
  Bytes bytes = pattern(65536, 9);
  first->copy_to(bytes);
  CHECK(bytes == Bytes(65536));
  CHECK(stack.device().allocated_bytes() == 0);
}
