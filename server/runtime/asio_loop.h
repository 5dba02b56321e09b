// AsioLoop: the loop of a real worker, on Asio's io_uring backend. Made by WorkerGroup and by app.cpp.
#pragma once

#include <memory>

#include "server/runtime/loop.h"

namespace boost::asio {
class io_context;
}

namespace lunaris::runtime {

class AsioLoop final : public Loop {
 public:
  enum class Mode {
    /// One thread makes, runs and destroys the context; no lock in it; other threads only `wake`.
    worker,
    /// An ordinary context, made at once, that other threads may post to: HTTP, signals, reconciliation.
    management,
  };

  explicit AsioLoop(Mode mode);
  /// Mode::management: whatever uses `context()` is gone by now.
  ~AsioLoop() override;

  /// Mode::management only, from construction to destruction.
  [[nodiscard]] boost::asio::io_context& context() noexcept;

  /// Throws boost::system::system_error when the kernel refuses a ring; startup_checks.h says why.
  void attach(Worker& worker) override;
  void run() override;
  void request_turn() override;
  void wake() noexcept override;
  void stop_waking() override;
  void resume_waking() override;
  void arm_tick(std::uint64_t deadline_ns) override;
  [[nodiscard]] Ring* ring() noexcept override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lunaris::runtime
