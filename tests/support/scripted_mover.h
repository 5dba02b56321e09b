// ScriptedMover: a DataMover whose initiator is a test. It offers bytes, keeps what it is sent, fails or waits when
// told.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "server/data_mover.h"
#include "server/runtime/worker.h"

namespace lunaris::test {

class ScriptedMover final : public DataMover {
 public:
  ScriptedMover(runtime::Worker& worker, std::size_t data_in_max, std::vector<std::uint8_t> data_out)
      : worker_(worker), data_in_max_(data_in_max), data_out_(std::move(data_out)) {}

  // --- script ---
  MoveOutcome outcome = MoveOutcome::moved;  // of the call number `outcome_from` and later ones
  unsigned outcome_from = 0;
  bool waits = false;  // calls wait until `resume` or `give_up`

  // --- what happened ---
  std::vector<std::uint8_t> data_in;
  unsigned calls = 0;
  std::size_t taken = 0;      // bytes of Data-Out that were asked for
  bool out_of_order = false;  // a call began elsewhere than the one before ended
  bool read_too_far = false;  // bytes were asked for that the initiator does not offer
  bool is_waiting = false;

  void resume() {
    waits = false;
    signal_.set();
  }
  void give_up() noexcept override {
    given_up_ = true;
    if (is_waiting) signal_.set();
  }

  runtime::Task<MoveOutcome> send(std::uint64_t offset, backends::Payload payload) override {
    const MoveOutcome verdict = co_await next_verdict();
    if (verdict != MoveOutcome::moved) co_return verdict;
    out_of_order = out_of_order || offset != sent_;
    sent_ += payload.size_bytes();
    std::vector<std::byte> bytes(payload.size_bytes());
    payload.copy_to(bytes);
    for (const std::byte byte : bytes) {
      if (data_in.size() < data_in_max_) data_in.push_back(static_cast<std::uint8_t>(byte));
    }
    co_return MoveOutcome::moved;
  }

  runtime::Task<Received> receive(std::uint64_t offset, std::uint32_t length) override {
    Received received;
    received.outcome = co_await next_verdict();
    if (received.outcome != MoveOutcome::moved) co_return received;
    out_of_order = out_of_order || offset != taken;
    read_too_far = read_too_far || length == 0 || offset + length > data_out_.size() ||
                   length > backends::BlockChannel::transfer_bytes_max;
    if (read_too_far) {
      received.outcome = MoveOutcome::aborted;
      co_return received;
    }
    runtime::BufferLease lease = co_await worker_.buffers().acquire(length);
    std::memcpy(lease.bytes().data(), data_out_.data() + offset, length);
    taken = offset + length;
    received.payload = backends::Payload(std::move(lease), length);
    co_return received;
  }

 private:
  runtime::Task<MoveOutcome> next_verdict() {
    const unsigned call = calls++;
    if (waits && !given_up_) {
      is_waiting = true;
      co_await signal_.wait();
      is_waiting = false;
    }
    if (given_up_) co_return MoveOutcome::aborted;
    co_return call >= outcome_from ? outcome : MoveOutcome::moved;
  }

  runtime::Worker& worker_;
  std::size_t data_in_max_;
  std::vector<std::uint8_t> data_out_;
  std::uint64_t sent_ = 0;
  bool given_up_ = false;
  runtime::Signal signal_;
};

}  // namespace lunaris::test
