// Ring: file and socket operations on the worker's io_uring, awaited where they are started. The operations live in a
// LIFO pool of slots, so starting one allocates nothing; submissions leave together at the end of the turn.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "server/runtime/completion.h"

namespace lunaris::runtime {

/// What to do; everything it points to must stay valid until completion. Plain values, filled field by field.
struct RingRequest {
  enum class Kind : std::uint8_t {
    read,
    write,
    read_fixed,
    write_fixed,
    fdatasync,
    fallocate,
    recvmsg,
    sendmsg,
    recv,
    send,
    poll_in
  };
  Kind kind = Kind::read;
  int fd = -1;
  int flags = 0;                   // RWF_* for read and write, MSG_* for messages, FALLOC_FL_* for fallocate
  int buffer_index = -1;           // read_fixed, write_fixed
  const iovec* vectors = nullptr;  // read, write
  std::uint32_t vector_count = 0;
  void* data = nullptr;  // read_fixed, write_fixed, recv, send
  std::uint32_t length = 0;
  msghdr* message = nullptr;      // recvmsg, sendmsg
  std::uint64_t offset = 0;       // files
  std::uint64_t range_bytes = 0;  // fallocate
  bool* pending = nullptr;        // when not null: true from the start until just before completion
};

/// One per worker, made and used in its thread only. The completion's result is bytes (or 0), or a negative errno.
/// Cancelling is not offered: a socket operation ends by ::shutdown on its descriptor, a file operation by itself.
/// Whoever owns a descriptor closes it only when its last operation has completed.
class Ring {
 public:
  class Implementation;
  explicit Ring(std::unique_ptr<Implementation> implementation);
  ~Ring();  // asserts that nothing is in flight
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  void start(const RingRequest& request, Completion& completion);

  [[nodiscard]] auto submit(const RingRequest& request) noexcept {
    return Operation([this, request](Completion& completion) { start(request, completion); });
  }
  [[nodiscard]] auto read(int fd, std::span<const iovec> vectors, std::uint64_t offset) noexcept;
  [[nodiscard]] auto write(int fd, std::span<const iovec> vectors, std::uint64_t offset, int rwf_flags) noexcept;
  [[nodiscard]] auto read_fixed(int fd, std::span<std::byte> data, std::uint64_t offset, int buffer_index) noexcept;
  [[nodiscard]] auto write_fixed(int fd, std::span<const std::byte> data, std::uint64_t offset,
                                 int buffer_index) noexcept;
  [[nodiscard]] auto fdatasync(int fd) noexcept;
  [[nodiscard]] auto fallocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) noexcept;

  /// Registers `buffers` once; 0 or a negative errno (-ENOMEM: over RLIMIT_MEMLOCK).
  int register_buffers(std::span<const iovec> buffers);

  /// Any thread (a watchdog's guess when not the owner).
  [[nodiscard]] std::uint32_t in_flight() const noexcept;
  /// Operations started since the ring was made. Any thread.
  [[nodiscard]] std::uint64_t started() const noexcept;

 private:
  std::unique_ptr<Implementation> implementation_;
};

inline auto Ring::read(int fd, std::span<const iovec> vectors, std::uint64_t offset) noexcept {
  RingRequest request;
  request.kind = RingRequest::Kind::read;
  request.fd = fd;
  request.vectors = vectors.data();
  request.vector_count = static_cast<std::uint32_t>(vectors.size());
  request.offset = offset;
  return submit(request);
}

inline auto Ring::write(int fd, std::span<const iovec> vectors, std::uint64_t offset, int rwf_flags) noexcept {
  RingRequest request;
  request.kind = RingRequest::Kind::write;
  request.fd = fd;
  request.flags = rwf_flags;
  request.vectors = vectors.data();
  request.vector_count = static_cast<std::uint32_t>(vectors.size());
  request.offset = offset;
  return submit(request);
}

inline auto Ring::read_fixed(int fd, std::span<std::byte> data, std::uint64_t offset, int buffer_index) noexcept {
  RingRequest request;
  request.kind = RingRequest::Kind::read_fixed;
  request.fd = fd;
  request.data = data.data();
  request.length = static_cast<std::uint32_t>(data.size());
  request.offset = offset;
  request.buffer_index = buffer_index;
  return submit(request);
}

inline auto Ring::write_fixed(int fd, std::span<const std::byte> data, std::uint64_t offset,
                              int buffer_index) noexcept {
  RingRequest request;
  request.kind = RingRequest::Kind::write_fixed;
  request.fd = fd;
  request.data = const_cast<std::byte*>(data.data());
  request.length = static_cast<std::uint32_t>(data.size());
  request.offset = offset;
  request.buffer_index = buffer_index;
  return submit(request);
}

inline auto Ring::fdatasync(int fd) noexcept {
  RingRequest request;
  request.kind = RingRequest::Kind::fdatasync;
  request.fd = fd;
  return submit(request);
}

inline auto Ring::fallocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) noexcept {
  RingRequest request;
  request.kind = RingRequest::Kind::fallocate;
  request.fd = fd;
  request.flags = mode;
  request.offset = offset;
  request.range_bytes = length;
  return submit(request);
}

}  // namespace lunaris::runtime
