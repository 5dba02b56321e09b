// WorkerGroup: all the data workers of the process, started together and stopped together. Made by app.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "server/runtime/topology.h"
#include "server/runtime/worker.h"

namespace lunaris::runtime {

struct WorkerGroupOptions {
  unsigned count = 0;     // 0: one per CPU that the process may use
  std::vector<int> cpus;  // empty: any
  bool pin = true;
  std::string name = "worker";  // threads are "worker-0", "worker-1", ...
  /// Per worker. The registered part is a wish: RLIMIT_MEMLOCK is shared out evenly.
  BufferPoolOptions buffers;
};

/// Belongs to one thread (the one that starts and stops the process). Start, use, `stop_all`, `join`, destroy.
class WorkerGroup {
 public:
  WorkerGroup(WorkerGroupOptions options, const Topology& topology);
  /// Stops and joins what still runs.
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  /// Starts all threads and waits until each runs. Sentences that say what is wrong and what to do; empty: all run.
  /// After a failure nothing runs.
  [[nodiscard]] std::vector<std::string> start();
  /// What the workers did not get (registered buffers, their CPUs), a sentence each; after `start`.
  [[nodiscard]] std::vector<std::string> notes() const;

  /// Any thread: each worker gets the message to stop. Idempotent.
  void stop_all() noexcept;
  void join();

  [[nodiscard]] std::size_t size() const noexcept { return workers_.size(); }
  [[nodiscard]] Worker& operator[](std::size_t index) noexcept { return *workers_[index]; }

  /// Any thread, in words, for a watchdog: what each worker still waits for (a guess, as it runs on meanwhile).
  [[nodiscard]] std::string describe_pending() const;

 private:
  WorkerGroupOptions options_;
  std::vector<std::string> problems_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace lunaris::runtime
