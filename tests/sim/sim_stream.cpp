#include "tests/sim/sim_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "server/runtime/assert.h"
#include "tests/sim/sim_worker.h"

namespace lunaris::sim {

SimStream::SimStream(std::shared_ptr<SimPipe> pipe, runtime::Worker& worker, std::string peer_address)
    : pipe_(std::move(pipe)), worker_(worker), peer_{std::move(peer_address), 40000}, local_{"192.0.2.1", 3260} {
  pipe_->on_change_for_server = [this] { poke(); };
}

SimStream::~SimStream() {
  LUN_ASSERT(!has_pending());
  if (moved_) return;
  pipe_->on_change_for_server = nullptr;
  pipe_->server_gone = true;
  if (pipe_->server_aborted) pipe_->to_peer.clear();
  if (pipe_->on_bytes_for_peer) {
    pipe_->world.after(0, [pipe = pipe_] {
      if (pipe->on_bytes_for_peer) pipe->on_bytes_for_peer();
    });
  }
}

std::size_t SimStream::piece() {
  const std::size_t most = std::max<std::size_t>(1, pipe_->link.piece_bytes_max);
  return pipe_->link.random_pieces ? 1 + pipe_->world.below(most) : most;
}

void SimStream::start_read(std::span<const iovec> vectors, runtime::Completion& completion) {
  LUN_ASSERT(reading_ == nullptr && !vectors.empty() && vectors.size() <= vectors_max);
  LUN_ASSERT(runtime::Worker::current() == &worker_);
  read_vectors_.assign(vectors.begin(), vectors.end());
  reading_ = &completion;
  try_read();
}

void SimStream::start_write(std::span<const iovec> vectors, runtime::Completion& completion) {
  LUN_ASSERT(writing_ == nullptr && !vectors.empty() && vectors.size() <= vectors_max);
  LUN_ASSERT(runtime::Worker::current() == &worker_);
  write_vectors_.assign(vectors.begin(), vectors.end());
  writing_ = &completion;
  ++pipe_->server_writes;
  try_write();
}

void SimStream::poke() {
  try_read();
  try_write();
}

void SimStream::finish_later(runtime::Completion*& slot, std::int32_t result) {
  const std::uint64_t delay = 1000 + pipe_->world.below(pipe_->link.delay_ns_max + 1);
  bool& finishing = &slot == &reading_ ? read_finishing_ : write_finishing_;
  finishing = true;
  pipe_->world.after(delay, [this, &slot, &finishing, result] {
    finishing = false;
    runtime::Completion* completion = std::exchange(slot, nullptr);
    run_on(worker_, [&] { completion->complete(result); });
  });
}

void SimStream::try_read() {
  if (reading_ == nullptr || read_finishing_) return;
  SimPipe& pipe = *pipe_;
  if (pipe.peer_reset) return finish_later(reading_, -ECONNRESET);
  if (pipe.server_shut) return finish_later(reading_, 0);
  if (pipe.to_server.empty()) {
    if (pipe.peer_finished) finish_later(reading_, 0);
    return;
  }
  std::size_t left = std::min(piece(), pipe.to_server.size());
  std::size_t moved = 0;
  for (const iovec& vector : read_vectors_) {
    const std::size_t count = std::min(left, vector.iov_len);
    if (count > 0) std::memcpy(vector.iov_base, pipe.to_server.data() + moved, count);
    moved += count;
    left -= count;
  }
  pipe.to_server.erase(pipe.to_server.begin(), pipe.to_server.begin() + static_cast<std::ptrdiff_t>(moved));
  finish_later(reading_, static_cast<std::int32_t>(moved));
}

void SimStream::try_write() {
  if (writing_ == nullptr || write_finishing_) return;
  SimPipe& pipe = *pipe_;
  if (pipe.peer_reset || pipe.server_shut) return finish_later(writing_, -EPIPE);
  if (pipe.to_peer.size() >= pipe.link.window_bytes) return;
  std::size_t left = std::min(piece(), pipe.link.window_bytes - pipe.to_peer.size());
  std::size_t moved = 0;
  for (const iovec& vector : write_vectors_) {
    const std::size_t count = std::min(left, vector.iov_len);
    const auto* bytes = static_cast<const std::byte*>(vector.iov_base);
    pipe.to_peer.insert(pipe.to_peer.end(), bytes, bytes + count);
    moved += count;
    left -= count;
  }
  if (pipe.on_bytes_for_peer) {
    pipe.world.after(1000 + pipe.world.below(pipe.link.delay_ns_max + 1), [shared = pipe_] {
      if (shared->on_bytes_for_peer) shared->on_bytes_for_peer();
    });
  }
  finish_later(writing_, static_cast<std::int32_t>(moved));
}

void SimStream::shutdown() noexcept {
  pipe_->server_shut = true;
  poke();
}

void SimStream::abort() noexcept {
  pipe_->server_aborted = true;
  shutdown();
}

std::unique_ptr<runtime::ByteStream> SimStream::move_to(runtime::Worker& target) {
  LUN_ASSERT(!has_pending() && !moved_);
  moved_ = true;
  return std::make_unique<SimStream>(pipe_, target, peer_.address);
}

void SimPeer::tell_server() {
  pipe_->world.after(1000 + pipe_->world.below(pipe_->link.delay_ns_max + 1), [pipe = pipe_] {
    if (pipe->on_change_for_server) pipe->on_change_for_server();
  });
}

void SimPeer::send(std::span<const std::byte> bytes) {
  if (pipe_->peer_reset || pipe_->server_gone) return;
  pipe_->to_server.insert(pipe_->to_server.end(), bytes.begin(), bytes.end());
  tell_server();
}

void SimPeer::take(std::vector<std::byte>& out) {
  const bool was_full = pipe_->to_peer.size() >= pipe_->link.window_bytes;
  out.insert(out.end(), pipe_->to_peer.begin(), pipe_->to_peer.end());
  pipe_->to_peer.clear();
  if (was_full) tell_server();
}

void SimPeer::finish() {
  pipe_->peer_finished = true;
  tell_server();
}

void SimPeer::reset() {
  pipe_->peer_reset = true;
  pipe_->to_peer.clear();
  tell_server();
}

}  // namespace lunaris::sim
