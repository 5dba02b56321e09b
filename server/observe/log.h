// Log: one logger per component, structured key=value lines as text or JSON, written by a thread of their own. Used by
// everything but protocol/. Never per I/O above trace.
//
//   namespace { observe::Logger& log = observe::logger("iscsi.session"); }
//   LUN_LOG_INFO(log, "session opened", "session", id, "initiator", name);
//   LUN_LOG_WARN_LIMITED(log, "login rejected", "peer", address, "reason", reason);
//
// Keys are literals; values are strings, numbers, booleans. Secrets have types that do not convert to any of these.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lunaris::observe {

enum class Level : std::uint8_t { trace, debug, info, warn, error, off };
[[nodiscard]] std::string_view to_string(Level level) noexcept;
[[nodiscard]] std::optional<Level> parse_level(std::string_view text) noexcept;

/// A value of a log line, borrowed for the call.
class FieldValue {
 public:
  enum class Kind : std::uint8_t { text, signed_number, unsigned_number, real, boolean };

  template <class T>
    requires std::convertible_to<T, std::string_view>
  FieldValue(const T& text) noexcept : kind(Kind::text), text(text) {}
  template <std::signed_integral T>
  FieldValue(T number) noexcept : kind(Kind::signed_number), signed_number(number) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  FieldValue(T number) noexcept : kind(Kind::unsigned_number), unsigned_number(number) {}
  template <std::same_as<bool> T>  // a template, so that pointers do not become booleans
  FieldValue(T value) noexcept : kind(Kind::boolean), boolean(value) {}
  FieldValue(double value) noexcept : kind(Kind::real), real(value) {}
  FieldValue() noexcept : kind(Kind::boolean), boolean(false) {}

  Kind kind;
  union {
    std::string_view text;
    std::int64_t signed_number;
    std::uint64_t unsigned_number;
    double real;
    bool boolean;
  };
};

struct Field {
  std::string_view key;
  FieldValue value;
};

class Logger {
 public:
  explicit Logger(std::string component) : component_(std::move(component)) {}
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  [[nodiscard]] const std::string& component() const noexcept { return component_; }
  [[nodiscard]] bool is_enabled(Level level) const noexcept { return level >= level_.load(std::memory_order_relaxed); }
  void set_level(Level level) noexcept { level_.store(level, std::memory_order_relaxed); }

  /// `key_values`: key, value, key, value. Any thread; never blocks (the oldest lines give way when the queue is full).
  template <class... KeyValues>
  void log(Level level, std::string_view message, const KeyValues&... key_values) {
    static_assert(sizeof...(KeyValues) % 2 == 0, "each key needs a value");
    std::array<Field, sizeof...(KeyValues) / 2> fields;
    collect(fields.data(), key_values...);
    write(level, message, fields);
  }
  void write(Level level, std::string_view message, std::span<const Field> fields);

 private:
  static void collect(Field*) noexcept {}
  template <class Value, class... Rest>
  static void collect(Field* out, std::string_view key, const Value& value, const Rest&... rest) {
    out->key = key;
    out->value = FieldValue(value);
    collect(out + 1, rest...);
  }

  std::string component_;
  std::atomic<Level> level_{Level::info};
};

/// The logger of a component ("iscsi.session", "backend.file"); made on first use, lives as long as the process.
[[nodiscard]] Logger& logger(std::string_view component);

enum class Format : std::uint8_t { text, json };

struct LogOptions {
  Format format = Format::text;
  Level level = Level::info;
  int descriptor = 2;              // where lines go; stays the caller's
  std::size_t queue_lines = 8192;  // the oldest give way beyond this
};

/// From construction to destruction lines are written; before and after they go to standard error at once. One at a
/// time, made early in main. The destructor writes what is queued.
class LogSystem {
 public:
  explicit LogSystem(const LogOptions& options);
  ~LogSystem();
  LogSystem(const LogSystem&) = delete;
  LogSystem& operator=(const LogSystem&) = delete;
};

/// Any thread: the level of every component, those to come included.
void set_level(Level level);
/// Any thread: the level of one component.
void set_level(std::string_view component, Level level);
/// Waits until what was logged before this call is written.
void flush_log();
/// Lines that gave way because the queue was full.
[[nodiscard]] std::uint64_t lines_lost() noexcept;

/// At most `burst` lines per `interval_ns` from one call site; counts what it holds back. Any thread.
class RateLimit {
 public:
  constexpr RateLimit(std::uint32_t burst, std::uint64_t interval_ns) noexcept
      : burst_(burst), interval_ns_(interval_ns) {}
  /// Nothing: hold the line back. Otherwise the number of lines held back since the last one that was written.
  [[nodiscard]] std::optional<std::uint32_t> admit(std::uint64_t now_ns) noexcept;
  /// As above, by CLOCK_MONOTONIC.
  [[nodiscard]] std::optional<std::uint32_t> admit() noexcept;

 private:
  std::uint32_t burst_;
  std::uint64_t interval_ns_;
  std::atomic<std::uint64_t> interval_start_ns_{0};
  std::atomic<std::uint32_t> written_{0};
  std::atomic<std::uint32_t> held_back_{0};
};

/// What LUN_LOG_*_LIMITED allow: enough to see what a peer does, not enough to fill a disk.
inline constexpr std::uint32_t limited_burst = 10;
inline constexpr std::uint64_t limited_interval_ns = 10'000'000'000;

}  // namespace lunaris::observe

#define LUN_LOG_AT(logger, level, ...)                                \
  do {                                                                \
    if ((logger).is_enabled(level)) (logger).log(level, __VA_ARGS__); \
  } while (false)

#define LUN_LOG_AT_LIMITED(logger, level, ...)                                                                \
  do {                                                                                                        \
    if ((logger).is_enabled(level)) {                                                                         \
      static constinit ::lunaris::observe::RateLimit lun_rate_limit{::lunaris::observe::limited_burst,        \
                                                                    ::lunaris::observe::limited_interval_ns}; \
      if (const auto lun_held_back = lun_rate_limit.admit()) {                                                \
        (logger).log(level, __VA_ARGS__, "held_back", *lun_held_back);                                        \
      }                                                                                                       \
    }                                                                                                         \
  } while (false)

#define LUN_LOG_TRACE(logger, ...) LUN_LOG_AT(logger, ::lunaris::observe::Level::trace, __VA_ARGS__)
#define LUN_LOG_DEBUG(logger, ...) LUN_LOG_AT(logger, ::lunaris::observe::Level::debug, __VA_ARGS__)
#define LUN_LOG_INFO(logger, ...) LUN_LOG_AT(logger, ::lunaris::observe::Level::info, __VA_ARGS__)
#define LUN_LOG_WARN(logger, ...) LUN_LOG_AT(logger, ::lunaris::observe::Level::warn, __VA_ARGS__)
#define LUN_LOG_ERROR(logger, ...) LUN_LOG_AT(logger, ::lunaris::observe::Level::error, __VA_ARGS__)
#define LUN_LOG_WARN_LIMITED(logger, ...) LUN_LOG_AT_LIMITED(logger, ::lunaris::observe::Level::warn, __VA_ARGS__)
#define LUN_LOG_ERROR_LIMITED(logger, ...) LUN_LOG_AT_LIMITED(logger, ::lunaris::observe::Level::error, __VA_ARGS__)
