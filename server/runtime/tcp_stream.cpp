// A TCP connection as ring operations: one read and one write at a time, plain recv and send for a single vector.
#include "server/runtime/tcp_stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "server/runtime/assert.h"
#include "server/runtime/worker.h"

namespace lunaris::runtime {

TcpStream::TcpStream(Worker& worker, UniqueFd socket, Endpoint peer, Endpoint local)
    : worker_(worker), socket_(std::move(socket)), peer_(std::move(peer)), local_(std::move(local)) {
  LUN_ASSERT(socket_);
  constexpr int on = 1;
  // Fails on a socket that is not TCP (a test's socket pair), which has no delay to turn off.
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
}

TcpStream::~TcpStream() {
  LUN_ASSERT(!has_pending());
}

Ring& TcpStream::ring() {
  if (ring_ == nullptr) {
    LUN_ASSERT(Worker::current() == &worker_);
    ring_ = &worker_.ring();
  }
  return *ring_;
}

void TcpStream::start(RingRequest::Kind one, RingRequest::Kind many, std::span<const iovec> vectors, msghdr& message,
                      bool& pending, Completion& completion) {
  LUN_ASSERT(!pending);
  LUN_ASSERT(!vectors.empty() && vectors.size() <= vectors_max);
  RingRequest request;
  request.fd = socket_.get();
  request.flags = MSG_NOSIGNAL;
  request.pending = &pending;
  if (vectors.size() == 1 && vectors.front().iov_len <= UINT32_MAX) {
    request.kind = one;
    request.data = vectors.front().iov_base;
    request.length = static_cast<std::uint32_t>(vectors.front().iov_len);
  } else {
    request.kind = many;
    // The kernel does not write through it: iovec and msghdr are not const for receiving only.
    message.msg_iov = const_cast<iovec*>(vectors.data());
    message.msg_iovlen = vectors.size();
    request.message = &message;
  }
  ring().start(request, completion);
}

void TcpStream::start_read(std::span<const iovec> vectors, Completion& completion) {
  start(RingRequest::Kind::recv, RingRequest::Kind::recvmsg, vectors, read_message_, read_pending_, completion);
}

void TcpStream::start_write(std::span<const iovec> vectors, Completion& completion) {
  start(RingRequest::Kind::send, RingRequest::Kind::sendmsg, vectors, write_message_, write_pending_, completion);
}

void TcpStream::shutdown() noexcept {
  ::shutdown(socket_.get(), SHUT_RDWR);
}

void TcpStream::abort() noexcept {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  shutdown();
}

std::unique_ptr<ByteStream> TcpStream::move_to(Worker& target) {
  LUN_ASSERT(!has_pending());
  return std::make_unique<TcpStream>(target, std::move(socket_), peer_, local_);
}

bool TcpStream::set_user_timeout_ms(unsigned timeout_ms) noexcept {
  return ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms) == 0;
}

}  // namespace lunaris::runtime
