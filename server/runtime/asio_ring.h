// AsioRing: Ring's operations on the io_uring that Asio's own io_context drives. Used by AsioLoop only.
#pragma once

#include <atomic>
#include <boost/asio/detail/io_uring_operation.hpp>
#include <boost/asio/detail/io_uring_service.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "server/runtime/ring.h"

namespace lunaris::runtime {

/// Owns the slots. A slot is one queue of Asio's service (an io_object has three) and, in one object, the operation
/// that uses it: Asio runs the operations of one queue one after the other, so each operation in flight has a slot of
/// its own. Slots are recycled last-in first-out and never given back before the end. Used in the context's thread
/// only.
class Ring::Implementation {
 public:
  explicit Implementation(boost::asio::io_context& context);
  ~Implementation();
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  void start(const RingRequest& request, Completion& completion);
  int register_buffers(std::span<const iovec> buffers);

  [[nodiscard]] std::uint32_t in_flight() const noexcept { return in_flight_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t started() const noexcept { return started_.load(std::memory_order_relaxed); }

 private:
  using Service = boost::asio::detail::io_uring_service;
  class Slot;
  void add_slots();

  Service& service_;
  Slot* free_ = nullptr;
  // Written by the owner only, with plain stores; atomic so that a watchdog may look.
  std::atomic<std::uint32_t> in_flight_{0};
  std::atomic<std::uint64_t> started_{0};
  std::vector<std::unique_ptr<Slot[]>> slots_;
  std::vector<Service::per_io_object_data> objects_;
};

}  // namespace lunaris::runtime
