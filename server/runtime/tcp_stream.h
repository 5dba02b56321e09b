// TcpStream: a TCP connection on the worker's ring. Made from what Listener hands over (or from a connected socket).
#pragma once

#include "server/runtime/ring.h"
#include "server/runtime/stream.h"
#include "server/runtime/unique_fd.h"

namespace lunaris::runtime {

/// Owns the descriptor. Its operations are the ring's own (recv, send, recvmsg, sendmsg): Asio never sees the socket,
/// so it can neither cancel nor restart anything on it. An operation ends by completing; `shutdown` makes it complete.
class TcpStream final : public ByteStream {
 public:
  /// Any thread; from the first operation on, `worker`'s. Sets TCP_NODELAY and CLOEXEC.
  TcpStream(Worker& worker, UniqueFd socket, Endpoint peer, Endpoint local);
  /// Asserts that nothing is pending, then closes.
  ~TcpStream() override;
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  void start_read(std::span<const iovec> vectors, Completion& completion) override;
  void start_write(std::span<const iovec> vectors, Completion& completion) override;
  void shutdown() noexcept override;
  void abort() noexcept override;
  [[nodiscard]] bool has_pending() const noexcept override { return read_pending_ || write_pending_; }
  [[nodiscard]] std::unique_ptr<ByteStream> move_to(Worker& target) override;
  [[nodiscard]] const Endpoint& peer() const noexcept override { return peer_; }
  [[nodiscard]] const Endpoint& local() const noexcept override { return local_; }

  /// The connection fails when the peer has not acknowledged sent data for this long (TCP_USER_TIMEOUT); 0: the
  /// system's default. False when the kernel refuses.
  bool set_user_timeout_ms(unsigned timeout_ms) noexcept;

 private:
  Ring& ring();
  void start(RingRequest::Kind one, RingRequest::Kind many, std::span<const iovec> vectors, msghdr& message,
             bool& pending, Completion& completion);

  Worker& worker_;
  Ring* ring_ = nullptr;  // looked up by the first operation, in the worker's thread
  UniqueFd socket_;
  bool read_pending_ = false;
  bool write_pending_ = false;
  msghdr read_message_{};
  msghdr write_message_{};
  Endpoint peer_;
  Endpoint local_;
};

}  // namespace lunaris::runtime
