// WorkerContext: an io_context whose ring belongs to one thread: made, run and destroyed there. Used by AsioLoop and by
// the tests of the rules that this implies.
#pragma once

#include <boost/asio/io_context.hpp>
#include <optional>

namespace lunaris::runtime {

class WorkerContext {
 public:
  /// Throws boost::system::system_error when the kernel refuses a ring.
  WorkerContext();
  ~WorkerContext();
  WorkerContext(const WorkerContext&) = delete;
  WorkerContext& operator=(const WorkerContext&) = delete;
  [[nodiscard]] boost::asio::io_context& get() noexcept { return *context_; }

 private:
  std::optional<boost::asio::io_context> context_;
};

}  // namespace lunaris::runtime
