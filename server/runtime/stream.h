// ByteStream: one connection as bytes. TcpStream on the ring in the server, a seeded pipe in tests/sim.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "server/runtime/completion.h"

namespace lunaris::runtime {

class Worker;

/// A peer's or our own end of a connection: textual address without port, and port.
struct Endpoint {
  std::string address;  // "192.0.2.1", "2001:db8::1"
  std::uint16_t port = 0;
};

/// Belongs to one worker. At most one read and one write in flight. Destroying it with either pending is a bug and
/// aborts: call `shutdown`, wait for both to complete, then destroy (that closes).
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Reads into `vectors` in order (at most vectors_max) as much as there is; 0: the peer has finished sending.
  virtual void start_read(std::span<const iovec> vectors, Completion& completion) = 0;
  /// Writes some of `vectors` (at most vectors_max); the count may be short. The array and its bytes stay untouched
  /// until completion.
  virtual void start_write(std::span<const iovec> vectors, Completion& completion) = 0;
  static constexpr std::size_t vectors_max = 1024;

  [[nodiscard]] auto read(std::span<const iovec> vectors) {
    return Operation([this, vectors](Completion& completion) { start_read(vectors, completion); });
  }
  [[nodiscard]] auto write(std::span<const iovec> vectors) {
    return Operation([this, vectors](Completion& completion) { start_write(vectors, completion); });
  }

  /// Ends both directions: pending operations complete (read: 0 or error, write: error) in a later turn. Idempotent.
  virtual void shutdown() noexcept = 0;
  /// As `shutdown`, and what was not sent yet is dropped: the peer sees a reset (SO_LINGER 0) when it is destroyed.
  virtual void abort() noexcept = 0;

  [[nodiscard]] virtual bool has_pending() const noexcept = 0;

  /// Hands the connection to another worker: call with nothing pending, on the owner's worker; from then on only the
  /// returned stream may be used, on `target`.
  [[nodiscard]] virtual std::unique_ptr<ByteStream> move_to(Worker& target) = 0;

  [[nodiscard]] virtual const Endpoint& peer() const noexcept = 0;
  [[nodiscard]] virtual const Endpoint& local() const noexcept = 0;
};

}  // namespace lunaris::runtime
