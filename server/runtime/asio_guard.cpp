// The guard's counters: pending operations by descriptor number, and which contexts belong to one thread.
#include "server/runtime/asio_guard.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace lunaris::runtime::asio_guard {
namespace {

constexpr std::size_t descriptors_watched = 65536;
constexpr std::size_t contexts_max = 1024;

constinit std::array<std::atomic<std::uint16_t>, descriptors_watched> pending{};
constinit std::array<std::atomic<boost::asio::execution_context*>, contexts_max> owned{};
constinit thread_local boost::asio::execution_context* own_context = nullptr;

bool is_watched(std::string_view object_type, std::uintmax_t native_handle) {
  return (object_type == "socket" || object_type == "descriptor") && native_handle < descriptors_watched;
}

void check_thread(boost::asio::execution_context& context, const char* object_type, const char* name) {
  if (own_context == &context) return;
  for (const auto& each : owned) {
    auto* const other = each.load(std::memory_order_acquire);
    if (other == nullptr) return;  // filled from the front, never shortened
    if (other != &context) continue;
    std::fprintf(stderr, "lunaris: %s.%s on a worker's context from a foreign thread: send mail instead\n", object_type,
                 name);
    std::abort();
  }
}

/// Stands for a context that is gone; its place is taken again by the next one.
boost::asio::execution_context* gone() {
  static char mark;
  return reinterpret_cast<boost::asio::execution_context*>(&mark);
}

}  // namespace

void creation(boost::asio::execution_context& context, Tracked& operation, const char* object_type, void*,
              std::uintmax_t native_handle, const char* name) {
  check_thread(context, object_type, name);
  if (!is_watched(object_type, native_handle)) return;
  operation.descriptor_ = static_cast<int>(native_handle);
  pending[native_handle].fetch_add(1, std::memory_order_relaxed);
}

void completion(const Tracked& operation) {
  if (operation.descriptor_ < 0) return;
  pending[static_cast<std::size_t>(operation.descriptor_)].fetch_sub(1, std::memory_order_relaxed);
}

void operation(boost::asio::execution_context& context, const char* object_type, void*, std::uintmax_t native_handle,
               const char* name) {
  check_thread(context, object_type, name);
  if (!is_watched(object_type, native_handle)) return;
  const std::string_view what = name;
  if (what != "close" && what != "release") return;
  const unsigned count = pending[native_handle].load(std::memory_order_relaxed);
  if (count == 0) return;
  std::fprintf(stderr,
               "lunaris: %s of Asio %s %d with %u operations pending: shut it down and wait for their handlers first\n",
               name, object_type, static_cast<int>(native_handle), count);
  std::abort();
}

void own(boost::asio::execution_context& context) {
  own_context = &context;
  for (auto& each : owned) {
    boost::asio::execution_context* expected = gone();
    if (each.compare_exchange_strong(expected, &context)) return;
    expected = nullptr;
    if (each.compare_exchange_strong(expected, &context)) return;
  }
}

void disown(boost::asio::execution_context& context) {
  own_context = nullptr;
  for (auto& each : owned) {
    boost::asio::execution_context* expected = &context;
    if (each.compare_exchange_strong(expected, gone())) return;
  }
}

}  // namespace lunaris::runtime::asio_guard
