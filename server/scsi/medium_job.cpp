// The loop of SANITIZE and FORMAT UNIT.
#include "server/scsi/medium_job.h"

#include <algorithm>
#include <utility>

#include "server/scsi/limits.h"
#include "server/scsi/sense_from_error.h"
#include "server/scsi/unit_state.h"

namespace lunaris::scsi_server {
namespace {

using namespace scsi::additional_sense;

/// One stride of one pass.
runtime::Task<backends::Result<>> do_stride(volume::Port& port, const MediumWork& work, backends::ByteRange range,
                                            runtime::BufferLease& pattern) {
  volume::RangeUse use(port.uses(), range);
  if (use.must_wait()) co_await use.turn();
  if (work.kind == MediumWork::Kind::overwrite) {
    const iovec segment{pattern.bytes().data(), range.length};
    co_return co_await port.channel().write(range.offset, {&segment, 1}, {}, pattern.registered_index());
  }
  co_return co_await port.channel().write_zeroes(range, work.kind == MediumWork::Kind::block_erase);
}

/// Fills `buffer` with copies of the block, inverted on every second pass.
void fill(runtime::BufferLease& buffer, const MediumWork& work, unsigned pass) {
  const bool inverted = work.invert && pass % 2 == 1;
  const std::span<std::byte> bytes = buffer.bytes();
  for (std::size_t index = 0; index < bytes.size(); ++index) {
    const std::byte byte = work.block[index % work.block.size()];
    bytes[index] = inverted ? ~byte : byte;
  }
}

}  // namespace

bool MediumJob::start(std::shared_ptr<UnitState> state, runtime::Worker& worker, MediumWork work) {
  State before = state_.load(std::memory_order_relaxed);
  do {
    if (before == State::running) return false;
  } while (!state_.compare_exchange_weak(before, State::running, std::memory_order_acq_rel));
  formats_.store(work.kind == MediumWork::Kind::format, std::memory_order_relaxed);
  may_exit_.store(work.allow_unrestricted_exit, std::memory_order_relaxed);
  progress_.store(0, std::memory_order_relaxed);
  // A posted task holds its worker until it has ended: it is not lost when the server stops.
  worker.post([this, owner = std::move(state), todo = std::move(work)] { return run(owner, todo); });
  return true;
}

std::optional<scsi::SenseData> MediumJob::problem() const noexcept {
  const bool formats = formats_.load(std::memory_order_relaxed);
  switch (state()) {
    case State::idle:
      return std::nullopt;
    case State::running:
      return scsi::SenseData{.key = scsi::SenseKey::not_ready,
                             .additional = formats ? logical_unit_not_ready_format_in_progress
                                                   : logical_unit_not_ready_sanitize_in_progress,
                             .information = {},
                             .field = {},
                             .progress = progress_.load(std::memory_order_relaxed)};
    case State::failed:
      return scsi::SenseData{.key = scsi::SenseKey::medium_error,
                             .additional = formats ? format_command_failed : sanitize_command_failed,
                             .information = {},
                             .field = {}};
  }
  return std::nullopt;
}

bool MediumJob::exit_failure_mode() noexcept {
  State failed = State::failed;
  if (state() == State::failed && !may_exit_.load(std::memory_order_relaxed)) return false;
  state_.compare_exchange_strong(failed, State::idle, std::memory_order_acq_rel);
  return true;
}

runtime::Task<> MediumJob::run(std::shared_ptr<UnitState> state, MediumWork work) {
  const bool done = co_await do_all(*state, work);
  // Taken before the state changes: from then on another worker may start the next job.
  TaskEntry* const starter = std::exchange(starter_, nullptr);
  state_.store(done ? State::idle : State::failed, std::memory_order_release);
  if (starter != nullptr) tasks_->wake(*starter);
}

runtime::Task<bool> MediumJob::do_all(UnitState& state, const MediumWork& work) {
  runtime::Worker& worker = *runtime::Worker::current();
  const backends::Result<volume::Port*> port = state.volume().port(worker);
  if (port.has_error()) co_return false;
  constexpr std::uint32_t buffer_bytes = backends::BlockChannel::transfer_bytes_max;
  const bool overwrites = work.kind == MediumWork::Kind::overwrite;
  const std::uint64_t stride = overwrites ? buffer_bytes : stride_bytes;
  for (unsigned pass = 0; pass < work.passes; ++pass) {
    runtime::BufferLease pattern;
    if (overwrites) {
      pattern = co_await worker.buffers().acquire(buffer_bytes);
      fill(pattern, work, pass);
    }
    for (std::uint64_t offset = 0;;) {
      const std::optional<volume::Port::Pass> pass_in = (*port)->enter();
      if (!pass_in) co_return false;  // the volume closes
      const std::uint64_t size = pass_in->view().size_bytes;
      if (offset >= size) break;
      const backends::ByteRange range{offset, std::min(stride, size - offset)};
      const backends::Result<> result = co_await do_stride(**port, work, range, pattern);
      if (result.has_error()) {
        if (fails_the_volume(result.error())) state.volume().fail(result.error().message());
        co_return false;
      }
      offset = range.end();
      const double part = (static_cast<double>(pass) + static_cast<double>(offset) / static_cast<double>(size)) /
                          static_cast<double>(work.passes);
      progress_.store(static_cast<std::uint16_t>(std::min(part * 65536.0, 65535.0)), std::memory_order_relaxed);
      co_await worker.yield();
    }
  }
  const std::optional<volume::Port::Pass> last = (*port)->enter();
  if (!last) co_return false;
  const backends::Result<> flushed = co_await (*port)->channel().flush();
  if (flushed.has_error()) state.volume().fail(flushed.error().message());
  co_return flushed.has_value();
}

}  // namespace lunaris::scsi_server
