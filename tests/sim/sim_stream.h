// SimStream: one end of a simulated connection. Reads and writes are short, bytes arrive late and in pieces, ends and
// resets come when the simulation says so. The server holds it as a ByteStream; the simulated initiator holds a
// SimPeer.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "server/runtime/stream.h"
#include "server/runtime/worker.h"
#include "tests/sim/sim_world.h"

namespace lunaris::sim {

/// How unkind a connection is.
struct SimLink {
  std::uint64_t delay_ns_max = 0;         // each completion comes this much later at most
  std::size_t piece_bytes_max = 1 << 20;  // most bytes one read or write moves; random from 1 when `random_pieces`
  bool random_pieces = false;
  std::size_t window_bytes = 1 << 20;  // bytes on their way to the peer before writes wait
};

/// What both ends share.
struct SimPipe {
  explicit SimPipe(SimWorld& the_world, SimLink the_link) : world(the_world), link(the_link) {}
  SimWorld& world;
  SimLink link;
  std::vector<std::byte> to_server;
  std::vector<std::byte> to_peer;
  bool peer_finished = false;  // the peer sends no more
  bool peer_reset = false;     // the connection broke
  bool server_shut = false;    // the server has called shutdown or abort
  bool server_aborted = false;
  bool server_gone = false;                 // the server's end is destroyed
  std::function<void()> on_bytes_for_peer;  // the peer's handler, called in an event of its own
  std::function<void()> on_change_for_server;
  std::uint64_t server_writes = 0;  // writes the server has made: what a turn costs in system calls
};

class SimStream final : public runtime::ByteStream {
 public:
  SimStream(std::shared_ptr<SimPipe> pipe, runtime::Worker& worker, std::string peer_address);
  ~SimStream() override;

  void start_read(std::span<const iovec> vectors, runtime::Completion& completion) override;
  void start_write(std::span<const iovec> vectors, runtime::Completion& completion) override;
  void shutdown() noexcept override;
  void abort() noexcept override;
  [[nodiscard]] bool has_pending() const noexcept override { return reading_ != nullptr || writing_ != nullptr; }
  [[nodiscard]] std::unique_ptr<runtime::ByteStream> move_to(runtime::Worker& target) override;
  [[nodiscard]] const runtime::Endpoint& peer() const noexcept override { return peer_; }
  [[nodiscard]] const runtime::Endpoint& local() const noexcept override { return local_; }

 private:
  void poke();
  void try_read();
  void try_write();
  [[nodiscard]] std::size_t piece();
  void finish_later(runtime::Completion*& slot, std::int32_t result);

  std::shared_ptr<SimPipe> pipe_;
  runtime::Worker& worker_;
  runtime::Endpoint peer_;
  runtime::Endpoint local_;
  std::vector<iovec> read_vectors_;
  std::vector<iovec> write_vectors_;
  runtime::Completion* reading_ = nullptr;
  runtime::Completion* writing_ = nullptr;
  bool read_finishing_ = false;
  bool write_finishing_ = false;
  bool moved_ = false;
};

/// The initiator's end: plain calls, no coroutine. Bytes the server wrote pile up in `received`.
class SimPeer {
 public:
  explicit SimPeer(std::shared_ptr<SimPipe> pipe) : pipe_(std::move(pipe)) {}
  void send(std::span<const std::byte> bytes);
  /// Moves what has arrived to the end of `out`.
  void take(std::vector<std::byte>& out);
  /// No more bytes from here (FIN).
  void finish();
  /// RST.
  void reset();
  /// True when the server has closed its end and everything it wrote was taken.
  [[nodiscard]] bool closed() const noexcept { return pipe_->server_gone && pipe_->to_peer.empty(); }
  [[nodiscard]] SimPipe& pipe() noexcept { return *pipe_; }

 private:
  void tell_server();
  std::shared_ptr<SimPipe> pipe_;
};

}  // namespace lunaris::sim
