// OutQueue: what a connection has to send. Sources of PDUs wait in line; at the end of a turn those whose turn it is
// put their PDUs into one batch, which leaves in one gathered write. Owned by Connection.
#pragma once

#include <sys/uio.h>

#include <array>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/block_device.h"
#include "protocol/iscsi/pdu_writer.h"
#include "server/iscsi/limits.h"
#include "server/iscsi/receive_buffer.h"
#include "server/runtime/stream.h"
#include "server/runtime/worker.h"

namespace lunaris::iscsi_server {

/// The PDUs of one gathered write: headers and small data are copied into it, payloads are kept alive by it.
class Batch {
 public:
  static constexpr std::size_t pdus_max = 384;
  static constexpr std::size_t scratch_bytes = std::size_t{16} * 1024;
  /// Small data of one PDU: sense data, a rejected header.
  static constexpr std::size_t small_bytes_max = 512;

  Batch();

  /// Room for one more PDU of at most `segments` payload segments.
  [[nodiscard]] bool has_room(std::size_t segments) const noexcept {
    return pdus_ < pdus_max && vectors_ + iscsi::gather_entries(segments) <= runtime::ByteStream::vectors_max &&
           scratch_used_ + small_bytes_max <= scratch_bytes;
  }
  /// Memory for small data that must live as long as the batch; at most small_bytes_max.
  [[nodiscard]] std::span<std::byte> scratch(std::size_t size) noexcept;

  template <class Pdu>
  void add(const Pdu& pdu, std::span<const iovec> payload) {
    LUN_ASSERT(has_room(payload.size()));
    const std::span<iovec> out(vector_memory_.get() + vectors_, runtime::ByteStream::vectors_max - vectors_);
    const std::size_t count = iscsi::write_pdu(pdu, slots_[pdus_++], digests_, payload, out);
    for (std::size_t i = 0; i < count; ++i) bytes_ += out[i].iov_len;
    vectors_ += count;
  }
  void hold(backends::Payload payload) { payloads_.push_back(std::move(payload)); }
  void hold(ChunkRef chunk) { chunks_.push_back(std::move(chunk)); }

  void set_digests(iscsi::Digests digests) noexcept { digests_ = digests; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t pdus() const noexcept { return pdus_; }

  /// What is still to be written; `advance` takes `count` bytes from its front.
  [[nodiscard]] std::span<const iovec> rest() const noexcept {
    return {vector_memory_.get() + first_, vectors_ - first_};
  }
  void advance(std::size_t count) noexcept;
  void clear() noexcept;

 private:
  std::unique_ptr<iovec[]> vector_memory_;
  std::unique_ptr<iscsi::ResponseSlot[]> slots_;
  std::unique_ptr<std::byte[]> scratch_memory_;
  std::vector<backends::Payload> payloads_;
  std::vector<ChunkRef> chunks_;
  iscsi::Digests digests_;
  std::size_t first_ = 0;
  std::size_t vectors_ = 0;
  std::size_t pdus_ = 0;
  std::size_t scratch_used_ = 0;
  std::size_t bytes_ = 0;
};

/// Somebody with PDUs to send. Intrusive; in at most one line at a time.
class PduSource {
 public:
  PduSource() = default;
  PduSource(const PduSource&) = delete;
  PduSource& operator=(const PduSource&) = delete;
  virtual ~PduSource() { LUN_ASSERT(!queued_); }
  [[nodiscard]] bool is_queued() const noexcept { return queued_; }

 protected:
  enum class Next : std::uint8_t {
    done,   // nothing more for now; the source may be destroyed or queued again
    again,  // more in the next turn, behind the others
  };
  /// Adds PDUs while the batch has room, at most limits::burst_bytes of data. Sequence numbers are given here, so they
  /// are in the order of sending.
  virtual Next produce(Batch& batch) = 0;

 private:
  friend class OutQueue;
  PduSource* next_source_ = nullptr;
  bool queued_ = false;
};

/// Two lines: `urgent` (status, R2T, everything small) leaves before `bulk` (Data-In). One write in flight.
class OutQueue final : private runtime::TurnHook {
 public:
  explicit OutQueue(runtime::Worker& worker) noexcept : worker_(worker) {}
  ~OutQueue() override;

  void set_digests(iscsi::Digests digests) noexcept { batch_.set_digests(digests); }

  void push_urgent(PduSource& source) noexcept { push(urgent_, source); }
  void push_bulk(PduSource& source) noexcept { push(bulk_, source); }
  /// Takes `source` out of its line, wherever it stands; what it has put into a batch is sent.
  void remove(PduSource& source) noexcept;

  /// Keeps `payload` until the write in flight, which may refer to it, is over.
  void keep(backends::Payload payload);

  /// Writes what comes until `close` has been called or the stream fails. Run once, beside the receive loop.
  runtime::Task<> run(runtime::ByteStream& stream);
  /// Everything queued is sent first when `drain`; then `run` returns.
  void close(bool drain) noexcept;
  [[nodiscard]] bool has_failed() const noexcept { return failed_; }
  [[nodiscard]] bool is_idle() const noexcept {
    return urgent_.first == nullptr && bulk_.first == nullptr && !writing_;
  }
  /// Since when a write has not moved a byte; 0 when none is waiting.
  [[nodiscard]] std::uint64_t stalled_since_ns() const noexcept { return writing_ ? progress_ns_ : 0; }
  [[nodiscard]] std::uint64_t last_write_ns() const noexcept { return progress_ns_; }

 private:
  struct Line {
    PduSource* first = nullptr;
    PduSource* last = nullptr;
  };
  static bool unlink(Line& line, PduSource& source) noexcept;
  static PduSource& pop(Line& line) noexcept;
  static void append(Line& line, PduSource& source) noexcept;
  void push(Line& line, PduSource& source) noexcept;
  void schedule() noexcept;
  void run_at_end_of_turn() override;
  void build();
  runtime::Task<bool> write_batch(runtime::ByteStream& stream);

  struct FlushAwaiter {
    OutQueue& queue;
    bool await_ready() const noexcept { return queue.closed_; }
    void await_suspend(std::coroutine_handle<> caller) noexcept;
    void await_resume() const noexcept { queue.waiter_ = nullptr; }
  };

  runtime::Worker& worker_;
  Batch batch_;
  Line urgent_;
  Line bulk_;
  std::coroutine_handle<> waiter_;
  std::uint64_t progress_ns_ = 0;
  bool writing_ = false;
  bool closed_ = false;
  bool drain_ = false;
  bool failed_ = false;
};

}  // namespace lunaris::iscsi_server
