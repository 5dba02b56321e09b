// The ring's operations as Asio io_uring operations: one completion each, no allocation once there are enough slots.
#include "server/runtime/asio_ring.h"

#include <boost/system/system_error.hpp>

#include "server/runtime/assert.h"

namespace lunaris::runtime {
namespace asio = boost::asio;

namespace {

constexpr std::size_t operations_per_object = asio::detail::io_uring_service::max_ops;
constexpr std::size_t objects_per_block = 32;

void prepare_request(const RingRequest& request, io_uring_sqe* entry) {
  switch (request.kind) {
    case RingRequest::Kind::read:
      ::io_uring_prep_readv2(entry, request.fd, request.vectors, request.vector_count, request.offset, request.flags);
      return;
    case RingRequest::Kind::write:
      ::io_uring_prep_writev2(entry, request.fd, request.vectors, request.vector_count, request.offset, request.flags);
      return;
    case RingRequest::Kind::read_fixed:
      ::io_uring_prep_read_fixed(entry, request.fd, request.data, request.length, request.offset, request.buffer_index);
      return;
    case RingRequest::Kind::write_fixed:
      ::io_uring_prep_write_fixed(entry, request.fd, request.data, request.length, request.offset,
                                  request.buffer_index);
      return;
    case RingRequest::Kind::fdatasync:
      ::io_uring_prep_fsync(entry, request.fd, IORING_FSYNC_DATASYNC);
      return;
    case RingRequest::Kind::fallocate:
      // liburing 2.3 takes off_t, which is 64 bits wide on every machine Lunaris runs on.
      ::io_uring_prep_fallocate(entry, request.fd, request.flags, static_cast<off_t>(request.offset),
                                static_cast<off_t>(request.range_bytes));
      return;
    case RingRequest::Kind::recvmsg:
      ::io_uring_prep_recvmsg(entry, request.fd, request.message, static_cast<unsigned>(request.flags));
      return;
    case RingRequest::Kind::sendmsg:
      ::io_uring_prep_sendmsg(entry, request.fd, request.message, static_cast<unsigned>(request.flags));
      return;
    case RingRequest::Kind::recv:
      ::io_uring_prep_recv(entry, request.fd, request.data, request.length, request.flags);
      return;
    case RingRequest::Kind::send:
      ::io_uring_prep_send(entry, request.fd, request.data, request.length, request.flags);
      return;
    case RingRequest::Kind::poll_in:
      ::io_uring_prep_poll_add(entry, request.fd, POLLIN);
      return;
  }
}

}  // namespace

class Ring::Implementation::Slot final : public asio::detail::io_uring_operation {
 public:
  Slot() : io_uring_operation(boost::system::error_code(), &prepare, &perform, &finish) {}

  Implementation* ring = nullptr;
  Service::per_io_object_data object = nullptr;
  int operation_type = 0;
  Slot* next_free = nullptr;
  Completion* completion = nullptr;
  RingRequest request;

 private:
  static void prepare(io_uring_operation* base, io_uring_sqe* entry) {
    prepare_request(static_cast<Slot*>(base)->request, entry);
  }
  // Never done before the kernel has answered, always done afterwards: short counts are the caller's business.
  static bool perform(io_uring_operation*, bool after_completion) { return after_completion; }

  static void finish(void* owner, asio::detail::operation* base, const boost::system::error_code&, std::size_t) {
    auto* slot = static_cast<Slot*>(base);
    // No owner: the context is being destroyed with the operation in flight, and the kernel may still write its buffer.
    LUN_ASSERT(owner != nullptr);
    const std::int32_t result = slot->ec_ ? -slot->ec_.value() : static_cast<std::int32_t>(slot->bytes_transferred_);
    Completion* const completion = slot->completion;
    if (slot->request.pending != nullptr) *slot->request.pending = false;
    Implementation& ring = *slot->ring;
    slot->next_free = ring.free_;
    ring.free_ = slot;
    ring.in_flight_.store(ring.in_flight_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    completion->complete(result);
  }
};

Ring::Implementation::Implementation(asio::io_context& context) : service_(asio::use_service<Service>(context)) {
  service_.init_task();
}

Ring::Implementation::~Implementation() {
  LUN_ASSERT(in_flight() == 0);
  for (auto& object : objects_) {
    service_.deregister_io_object(object);
    service_.cleanup_io_object(object);
  }
}

void Ring::Implementation::add_slots() {
  slots_.push_back(std::make_unique<Slot[]>(objects_per_block * operations_per_object));
  Slot* const block = slots_.back().get();
  for (std::size_t i = 0; i < objects_per_block; ++i) {
    Service::per_io_object_data object = nullptr;
    service_.register_io_object(object);
    objects_.push_back(object);
    for (std::size_t type = 0; type < operations_per_object; ++type) {
      Slot& slot = block[i * operations_per_object + type];
      slot.ring = this;
      slot.object = object;
      slot.operation_type = static_cast<int>(type);
      slot.next_free = free_;
      free_ = &slot;
    }
  }
}

void Ring::Implementation::start(const RingRequest& request, Completion& completion) {
  if (free_ == nullptr) add_slots();
  Slot& slot = *free_;
  free_ = slot.next_free;
  slot.request = request;
  slot.completion = &completion;
  if (request.pending != nullptr) *request.pending = true;
  in_flight_.store(in_flight_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  started_.store(started_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  service_.start_op(slot.operation_type, slot.object, &slot, false);
}

int Ring::Implementation::register_buffers(std::span<const iovec> buffers) {
  try {
    service_.register_buffers(buffers.data(), static_cast<unsigned>(buffers.size()));
    return 0;
  } catch (const boost::system::system_error& error) {
    return -error.code().value();
  }
}

Ring::Ring(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Ring::~Ring() = default;

void Ring::start(const RingRequest& request, Completion& completion) {
  implementation_->start(request, completion);
}
int Ring::register_buffers(std::span<const iovec> buffers) {
  return implementation_->register_buffers(buffers);
}
std::uint32_t Ring::in_flight() const noexcept {
  return implementation_->in_flight();
}
std::uint64_t Ring::started() const noexcept {
  return implementation_->started();
}

}  // namespace lunaris::runtime
