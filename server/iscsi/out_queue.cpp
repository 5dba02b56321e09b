#include "server/iscsi/out_queue.h"

#include <algorithm>

namespace lunaris::iscsi_server {

Batch::Batch()
    : vector_memory_(std::make_unique_for_overwrite<iovec[]>(runtime::ByteStream::vectors_max)),
      slots_(std::make_unique_for_overwrite<iscsi::ResponseSlot[]>(pdus_max)),
      scratch_memory_(std::make_unique_for_overwrite<std::byte[]>(scratch_bytes)) {}

std::span<std::byte> Batch::scratch(std::size_t size) noexcept {
  LUN_ASSERT(size <= small_bytes_max && scratch_used_ + size <= scratch_bytes);
  const std::span<std::byte> taken(scratch_memory_.get() + scratch_used_, size);
  scratch_used_ += size;
  return taken;
}

void Batch::advance(std::size_t count) noexcept {
  bytes_ -= count;
  while (first_ < vectors_ && count >= vector_memory_[first_].iov_len) {
    count -= vector_memory_[first_].iov_len;
    ++first_;
  }
  if (count == 0) return;
  LUN_ASSERT(first_ < vectors_);
  iovec& vector = vector_memory_[first_];
  vector.iov_base = static_cast<std::byte*>(vector.iov_base) + count;
  vector.iov_len -= count;
}

void Batch::clear() noexcept {
  payloads_.clear();
  chunks_.clear();
  first_ = vectors_ = pdus_ = scratch_used_ = bytes_ = 0;
}

OutQueue::~OutQueue() {
  LUN_ASSERT(!writing_ && urgent_.first == nullptr && bulk_.first == nullptr);
  LUN_ASSERT(!is_scheduled());
}

void OutQueue::append(Line& line, PduSource& source) noexcept {
  source.next_source_ = nullptr;
  source.queued_ = true;
  (line.last == nullptr ? line.first : line.last->next_source_) = &source;
  line.last = &source;
}

PduSource& OutQueue::pop(Line& line) noexcept {
  PduSource& source = *line.first;
  line.first = source.next_source_;
  if (line.first == nullptr) line.last = nullptr;
  source.queued_ = false;
  return source;
}

bool OutQueue::unlink(Line& line, PduSource& source) noexcept {
  PduSource* previous = nullptr;
  for (PduSource* at = line.first; at != nullptr; previous = at, at = at->next_source_) {
    if (at != &source) continue;
    (previous == nullptr ? line.first : previous->next_source_) = source.next_source_;
    if (line.last == &source) line.last = previous;
    source.queued_ = false;
    return true;
  }
  return false;
}

void OutQueue::push(Line& line, PduSource& source) noexcept {
  if (source.queued_) return;
  append(line, source);
  schedule();
}

void OutQueue::remove(PduSource& source) noexcept {
  if (!source.queued_) return;
  const bool found = unlink(urgent_, source) || unlink(bulk_, source);
  LUN_ASSERT(found);
}

void OutQueue::keep(backends::Payload payload) {
  if (writing_) batch_.hold(std::move(payload));
}

void OutQueue::schedule() noexcept {
  if (waiter_ && !is_scheduled()) worker_.at_end_of_turn(*this);
}

void OutQueue::run_at_end_of_turn() {
  if (waiter_) waiter_.resume();
}

void OutQueue::FlushAwaiter::await_suspend(std::coroutine_handle<> caller) noexcept {
  queue.waiter_ = caller;
  if (queue.urgent_.first != nullptr || queue.bulk_.first != nullptr) queue.schedule();
}

void OutQueue::close(bool drain) noexcept {
  closed_ = true;
  drain_ = drain;
  schedule();
}

void OutQueue::build() {
  while (urgent_.first != nullptr && batch_.has_room(backends::Payload::segments_max)) {
    PduSource& source = pop(urgent_);
    if (source.produce(batch_) == PduSource::Next::again) append(urgent_, source);
  }
  // Everybody in the line at this moment has one turn at most.
  PduSource* const last = bulk_.last;
  while (bulk_.first != nullptr && batch_.bytes() < limits::write_bytes_max &&
         batch_.has_room(backends::Payload::segments_max)) {
    PduSource& source = pop(bulk_);
    const bool was_last = &source == last;
    if (source.produce(batch_) == PduSource::Next::again) append(bulk_, source);
    if (was_last) break;
  }
}

runtime::Task<bool> OutQueue::write_batch(runtime::ByteStream& stream) {
  writing_ = true;
  progress_ns_ = worker_.clock().now_ns();
  while (batch_.bytes() > 0) {
    const std::int32_t count = co_await stream.write(batch_.rest());
    if (count <= 0) {
      failed_ = true;
      break;
    }
    progress_ns_ = worker_.clock().now_ns();
    batch_.advance(static_cast<std::size_t>(count));
  }
  writing_ = false;
  batch_.clear();
  co_return !failed_;
}

runtime::Task<> OutQueue::run(runtime::ByteStream& stream) {
  for (;;) {
    co_await FlushAwaiter{*this};
    if (closed_ && !drain_) break;
    build();
    if (batch_.bytes() > 0 && !co_await write_batch(stream)) break;
    if (closed_ && urgent_.first == nullptr && bulk_.first == nullptr) break;
  }
}

}  // namespace lunaris::iscsi_server
