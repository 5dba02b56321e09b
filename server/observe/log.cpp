// The log's plumbing: spdlog's queue and thread, our own formatting. spdlog's headers stay in this file.
#include "server/observe/log.h"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "server/observe/log_format.h"

namespace lunaris::observe {
namespace {

constexpr std::array<std::string_view, 6> level_names{"trace", "debug", "info", "warn", "error", "off"};

void write_all(int descriptor, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // nobody reads the log: there is no place left to say so
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// spdlog asks a formatter to make the line; the level travels as spdlog's, the body as its payload.
class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(Format format) : format_(format) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    line_.clear();
    format_line(format_, message.time, static_cast<Level>(message.level),
                {message.logger_name.data(), message.logger_name.size()},
                {message.payload.data(), message.payload.size()}, line_);
    out.append(line_.data(), line_.data() + line_.size());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  Format format_;
  std::string line_;
};

class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(int descriptor) : descriptor_(descriptor) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    write_all(descriptor_, {line.data(), line.size()});
  }
  void flush_() override {}
  int descriptor_;
};

/// The logger's queue: one spdlog logger for all components, its name replaced per line.
class Queue {
 public:
  explicit Queue(const LogOptions& options)
      : format_(options.format),
        pool_(std::make_shared<spdlog::details::thread_pool>(options.queue_lines, 1)),
        sink_(std::make_shared<DescriptorSink>(options.descriptor)) {
    sink_->set_formatter(std::make_unique<LineFormatter>(options.format));
  }

  [[nodiscard]] Format format() const noexcept { return format_; }
  [[nodiscard]] std::uint64_t lost() const { return pool_->overrun_counter(); }

  void write(const std::string& component, Level level, std::string_view body) {
    logger_for(component)->log(static_cast<spdlog::level::level_enum>(level),
                               spdlog::string_view_t(body.data(), body.size()));
  }

 private:
  std::shared_ptr<spdlog::async_logger> logger_for(const std::string& component) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = loggers_.find(component); found != loggers_.end()) return found->second;
    }
    const std::unique_lock lock(mutex_);
    auto& made = loggers_[component];
    if (made == nullptr) {
      made = std::make_shared<spdlog::async_logger>(component, sink_, pool_,
                                                    spdlog::async_overflow_policy::overrun_oldest);
      made->set_level(spdlog::level::trace);  // Logger has decided already
    }
    return made;
  }

  Format format_;
  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<DescriptorSink> sink_;
  std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<spdlog::async_logger>> loggers_;
};

/// The one place in Lunaris with state of the process: a log line must work from anywhere, at any time.
struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Logger>, std::less<>> loggers;
  std::map<std::string, Level, std::less<>> levels;  // set for one component
  Level level = Level::info;
  std::shared_mutex queue_mutex;
  std::unique_ptr<Queue> queue;
  LogOptions options;
  std::atomic<std::uint64_t> lost{0};
};

Registry& registry() {
  // Never destroyed: destructors of other static objects may log.
  static auto* const instance = new Registry;
  return *instance;
}

Level level_of(const Registry& log, std::string_view component) {
  const auto found = log.levels.find(component);
  return found == log.levels.end() ? log.level : found->second;
}

}  // namespace

std::string_view to_string(Level level) noexcept {
  return level_names[static_cast<std::size_t>(level)];
}

std::optional<Level> parse_level(std::string_view text) noexcept {
  for (std::size_t i = 0; i < level_names.size(); ++i) {
    if (level_names[i] == text) return static_cast<Level>(i);
  }
  return std::nullopt;
}

void Logger::write(Level level, std::string_view message, std::span<const Field> fields) {
  Registry& log = registry();
  const std::shared_lock lock(log.queue_mutex);
  if (log.queue != nullptr) {
    log.queue->write(component_, level, format_body(log.queue->format(), message, fields));
    return;
  }
  std::string line;
  format_line(Format::text, std::chrono::system_clock::now(), level, component_,
              format_body(Format::text, message, fields), line);
  write_all(STDERR_FILENO, line);
}

Logger& logger(std::string_view component) {
  Registry& log = registry();
  const std::lock_guard lock(log.mutex);
  if (const auto found = log.loggers.find(component); found != log.loggers.end()) return *found->second;
  auto made = std::make_unique<Logger>(std::string(component));
  made->set_level(level_of(log, component));
  return *log.loggers.emplace(std::string(component), std::move(made)).first->second;
}

LogSystem::LogSystem(const LogOptions& options) {
  set_level(options.level);
  Registry& log = registry();
  const std::unique_lock lock(log.queue_mutex);
  log.options = options;
  log.queue = std::make_unique<Queue>(options);
}

LogSystem::~LogSystem() {
  Registry& log = registry();
  std::unique_ptr<Queue> queue;
  {
    const std::unique_lock lock(log.queue_mutex);
    queue = std::move(log.queue);
  }
  log.lost += queue->lost();
}

void set_level(Level level) {
  Registry& log = registry();
  const std::lock_guard lock(log.mutex);
  log.level = level;
  log.levels.clear();
  for (const auto& each : log.loggers) each.second->set_level(level);
}

void set_level(std::string_view component, Level level) {
  Registry& log = registry();
  const std::lock_guard lock(log.mutex);
  log.levels.insert_or_assign(std::string(component), level);
  if (const auto found = log.loggers.find(component); found != log.loggers.end()) found->second->set_level(level);
}

void flush_log() {
  Registry& log = registry();
  const std::unique_lock lock(log.queue_mutex);
  if (log.queue == nullptr) return;
  // Ending the queue's thread is what waits for its lines; a new queue takes over.
  log.lost += log.queue->lost();
  log.queue.reset();
  log.queue = std::make_unique<Queue>(log.options);
}

std::uint64_t lines_lost() noexcept {
  Registry& log = registry();
  const std::shared_lock lock(log.queue_mutex);
  return log.lost + (log.queue != nullptr ? log.queue->lost() : 0);
}

std::optional<std::uint32_t> RateLimit::admit(std::uint64_t now_ns) noexcept {
  std::uint64_t start = interval_start_ns_.load(std::memory_order_relaxed);
  if (start == 0 || now_ns - start >= interval_ns_) {
    // One thread begins the new interval; whoever loses the race counts within it.
    if (interval_start_ns_.compare_exchange_strong(start, now_ns, std::memory_order_relaxed)) {
      written_.store(0, std::memory_order_relaxed);
    }
  }
  if (written_.fetch_add(1, std::memory_order_relaxed) < burst_) {
    return held_back_.exchange(0, std::memory_order_relaxed);
  }
  held_back_.fetch_add(1, std::memory_order_relaxed);
  return std::nullopt;
}

std::optional<std::uint32_t> RateLimit::admit() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return admit(static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec));
}

}  // namespace lunaris::observe
