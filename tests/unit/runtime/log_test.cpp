// The log: escaping, layout, levels, rate limit and the queue.
#include <unistd.h>

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "server/observe/log.h"
#include "server/observe/log_format.h"

using namespace lunaris::observe;

namespace {

std::string json_line(std::string_view message, std::span<const Field> fields) {
  std::string line;
  format_line(Format::json, LogTime(), Level::warn, "test.component", format_body(Format::json, message, fields), line);
  return line;
}

std::string text_line(std::string_view message, std::span<const Field> fields) {
  std::string line;
  format_line(Format::text, LogTime(), Level::warn, "test.component", format_body(Format::text, message, fields), line);
  return line;
}

/// Runs `log_something` with the log going to a pipe; answers what came out.
template <class Function>
std::string captured(LogOptions options, Function log_something) {
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  options.descriptor = fds[1];
  std::string out;
  std::thread reader([&out, fd = fds[0]] {
    char chunk[4096];
    for (ssize_t got = 0; (got = ::read(fd, chunk, sizeof chunk)) > 0;)
      out.append(chunk, static_cast<std::size_t>(got));
  });
  {
    const LogSystem system(options);
    log_something();
  }
  ::close(fds[1]);
  reader.join();
  ::close(fds[0]);
  return out;
}

}  // namespace

TEST_CASE("a JSON line is one object with time level component message and fields", "[observe][log]") {
  const std::array<Field, 5> fields{Field{"text", "a\"b"}, Field{"minus", -1}, Field{"plus", std::uint64_t{7}},
                                    Field{"yes", true}, Field{"real", 1.5}};
  const boost::json::object line = boost::json::parse(json_line("hello", fields)).as_object();
  CHECK(line.at("ts").as_string() == "1970-01-01T00:00:00.000000Z");
  CHECK(line.at("level").as_string() == "warn");
  CHECK(line.at("component").as_string() == "test.component");
  CHECK(line.at("msg").as_string() == "hello");
  CHECK(line.at("text").as_string() == "a\"b");
  CHECK(line.at("minus").as_int64() == -1);
  CHECK(line.at("plus").to_number<int>() == 7);
  CHECK(line.at("yes").as_bool());
  CHECK(line.at("real").as_double() == 1.5);
}

TEST_CASE("whatever bytes a value holds a JSON line parses and stays one line", "[observe][log]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string value(random() % 40, '\0');
    for (char& c : value) c = static_cast<char>(random() % 3 == 0 ? random() % 256 : 0xc0 + random() % 0x40);
    const std::array<Field, 1> fields{Field{"value", value}};
    const std::string line = json_line("m", fields);
    REQUIRE(line.find('\n') == line.size() - 1);
    boost::system::error_code error;
    boost::json::parse(line, error);
    REQUIRE(!error);
  }
}

TEST_CASE("valid UTF-8 passes a JSON line unchanged and malformed bytes are replaced", "[observe][log]") {
  const auto escaped = [](std::string_view text) {
    std::string out;
    append_json_escaped(text, out);
    return out;
  };
  CHECK(escaped("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x99") ==
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x99");
  CHECK(escaped("\xff") == "\\ufffd");
  CHECK(escaped("\xc0\xaf") == "\\ufffd\\ufffd");             // overlong
  CHECK(escaped("\xed\xa0\x80") == "\\ufffd\\ufffd\\ufffd");  // surrogate
  CHECK(escaped("\xe2\x82") == "\\ufffd\\ufffd");             // cut off
  CHECK(escaped(std::string_view("a\0b", 3)) == "a\\u0000b");
  CHECK(escaped("\x1b[31m\x7f\r\n\t\\") == "\\u001b[31m\\u007f\\r\\n\\t\\\\");
}

TEST_CASE("a peer cannot forge a text line or send terminal escapes", "[observe][log]") {
  const std::array<Field, 3> fields{Field{"name", "x\n1970 error forged: y"}, Field{"escape", "\x1b[2J"},
                                    Field{"plain", "iqn.a"}};
  const std::string line = text_line("login", fields);
  CHECK(line ==
        "1970-01-01T00:00:00.000000Z warn  test.component: login name=\"x\\x0a1970 error forged: y\" "
        "escape=\"\\x1b[2J\" plain=iqn.a\n");
}

TEST_CASE("text values are quoted when they need it", "[observe][log]") {
  const auto value = [](std::string_view text) {
    std::string out;
    append_text_value(text, out);
    return out;
  };
  CHECK(value("") == "\"\"");
  CHECK(value("a b") == "\"a b\"");
  CHECK(value("a=b") == "\"a=b\"");
  CHECK(value("say \"no\"") == "\"say \\\"no\\\"\"");
}

TEST_CASE("a level is set for all components or for one", "[observe][log]") {
  Logger& one = logger("test.one");
  Logger& two = logger("test.two");
  set_level(Level::warn);
  CHECK_FALSE(one.is_enabled(Level::info));
  set_level("test.one", Level::debug);
  CHECK(one.is_enabled(Level::debug));
  CHECK_FALSE(two.is_enabled(Level::info));
  set_level("test.later", Level::trace);
  CHECK(logger("test.later").is_enabled(Level::trace));
  set_level(Level::info);
  CHECK_FALSE(one.is_enabled(Level::debug));
  CHECK(&logger("test.one") == &one);
}

TEST_CASE("lines of many threads arrive whole", "[observe][log]") {
  constexpr int threads = 4;
  constexpr int lines = 500;
  const std::string out = captured({Format::json, Level::info, 2, 8192}, [] {
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([t] {
        Logger& log = logger("test.threads");
        for (int i = 0; i < lines; ++i) LUN_LOG_INFO(log, "line", "thread", t, "number", i);
      });
    }
    for (std::thread& thread : all) thread.join();
  });
  int count = 0;
  for (std::size_t at = 0; at < out.size(); ++count) {
    const std::size_t end = out.find('\n', at);
    boost::system::error_code error;
    boost::json::parse(out.substr(at, end - at), error);
    REQUIRE(!error);
    at = end + 1;
  }
  CHECK(count == threads * lines);
}

TEST_CASE("a full queue drops the oldest lines instead of blocking", "[observe][log]") {
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  const std::uint64_t lost_before = lines_lost();
  std::thread reader;
  {
    const LogSystem system({Format::text, Level::info, fds[1], 16});
    Logger& log = logger("test.full");
    // Nobody reads: the pipe fills, the queue's thread blocks, this thread does not.
    const std::string padding(1000, 'x');
    for (int i = 0; i < 1000; ++i) LUN_LOG_INFO(log, "line", "number", i, "padding", padding);
    CHECK(lines_lost() > lost_before);
    reader = std::thread([fd = fds[0]] {
      char chunk[65536];
      while (::read(fd, chunk, sizeof chunk) > 0) {
      }
    });
  }
  ::close(fds[1]);
  reader.join();
  ::close(fds[0]);
}

TEST_CASE("a rate limit lets a burst pass and says how many it held back", "[observe][log]") {
  RateLimit limit(3, 1000);
  CHECK(limit.admit(5) == 0U);
  CHECK(limit.admit(6) == 0U);
  CHECK(limit.admit(7) == 0U);
  CHECK_FALSE(limit.admit(8).has_value());
  CHECK_FALSE(limit.admit(1004).has_value());
  CHECK(limit.admit(1005) == 2U);
  CHECK(limit.admit(1006) == 0U);
}

TEST_CASE("a limited log statement writes its burst only", "[observe][log]") {
  const std::string out = captured({}, [] {
    Logger& log = logger("test.limited");
    for (int i = 0; i < 100; ++i) LUN_LOG_WARN_LIMITED(log, "again", "number", i);
  });
  CHECK(std::count(out.begin(), out.end(), '\n') == limited_burst);
}
