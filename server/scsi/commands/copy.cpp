// EXTENDED COPY (LID1) and RECEIVE COPY RESULTS (SPC-4 6.3, 6.17 to 6.20): block to block copies between the units this
// nexus can see. The copy runs in the command; whoever wants to know meanwhile asks by list identifier.
#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <vector>

#include "protocol/scsi/fields.h"
#include "protocol/scsi/opcodes.h"
#include "protocol/scsi/third_party_copy.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/copy_records.h"
#include "server/scsi/health.h"
#include "server/scsi/identification.h"
#include "server/scsi/nexus_state.h"
#include "server/scsi/transfer.h"
#include "server/scsi/unit_reservations.h"

namespace lunaris::scsi_server {
namespace {

using namespace scsi::additional_sense;

constexpr std::size_t parameter_list_bytes_max = 16 + copy_limits.list_bytes;

void abort_copy(Execution& execution, scsi::AdditionalSense additional) {
  execution.check_condition(scsi::SenseKey::copy_aborted, additional);
}

/// A unit that takes part in a copy, entered as a command of its own would enter it; it may be removed from the nexus
/// meanwhile, which waits for the pass.
struct Party {
  Party(Execution& by, UnitNexus& unit, runtime::Gate::Pass the_unit_pass)
      : unit_pass(std::move(the_unit_pass)), execution(by.command, by.nexus, by.nexus_state) {
    execution.row = by.row;
    execution.unit = &unit;
    execution.settings = unit.state().settings();
    execution.enter_volume();
  }
  runtime::Gate::Pass unit_pass;
  Execution execution;
};

/// The parties of a copy in the order of their descriptors.
struct Parties {
  std::list<Party> entered;
  std::vector<Party*> by_index;

  [[nodiscard]] Party* at(std::size_t index) const noexcept {
    return index < by_index.size() ? by_index[index] : nullptr;
  }
};

UnitNexus* find_unit(Execution& execution, const scsi::Designator& designator) {
  for (const std::unique_ptr<UnitNexus>& unit : execution.nexus_state.units) {
    const volume::Identity& identity = unit->state().volume().identity();
    if (scsi::is_named_by(device_identity(identity, execution.nexus.identity()), designator)) return unit.get();
  }
  return nullptr;
}

/// Only what is in the LUN map of this nexus can be found. False: the outcome is set.
bool enter_parties(Execution& execution, const std::vector<scsi::CopyTarget>& targets, Parties& parties) {
  for (const scsi::CopyTarget& target : targets) {
    UnitNexus* const unit = find_unit(execution, target.designator);
    std::optional<runtime::Gate::Pass> pass = unit == nullptr ? std::nullopt : unit->gate().try_enter();
    if (!pass) {
      abort_copy(execution, copy_target_device_not_reachable);
      return false;
    }
    Party& party = parties.entered.emplace_back(execution, *unit, std::move(*pass));
    if (health_problem(party.execution)) {
      abort_copy(execution, copy_target_device_not_reachable);
      return false;
    }
    if (target.block_bytes != party.execution.view().block_bytes) {
      execution.illegal_request(invalid_field_in_parameter_list);
      return false;
    }
    parties.by_index.push_back(&party);
  }
  return true;
}

/// Whether the nexus may do to a party what a READ or WRITE of its own would: no copy goes round a reservation.
bool may(scsi::Opcode opcode, Execution& party) {
  const volume::View& view = party.view();
  if (view.reservation == nullptr) return true;
  const std::array<std::uint8_t, CommandRow::cdb_bytes_max> cdb{static_cast<std::uint8_t>(opcode)};
  return !view.reservation->is_lost &&
         !conflicts(*find_command(cdb), cdb, *view.reservation, party.unit->role(view), &party.nexus);
}

struct Copy {
  Execution* source = nullptr;
  Execution* destination = nullptr;
  std::uint64_t from = 0, to = 0, bytes = 0;
};

/// Where a segment's bytes lie. Nothing: the outcome is set.
std::optional<Copy> plan(Execution& execution, const Parties& parties, const scsi::CopySegment& segment) {
  Party* const source = parties.at(segment.source);
  Party* const destination = parties.at(segment.destination);
  if (source == nullptr || destination == nullptr) {
    abort_copy(execution, unreachable_copy_target);
    return std::nullopt;
  }
  Copy copy{&source->execution, &destination->execution, 0, 0, 0};
  const std::uint64_t source_block = copy.source->view().block_bytes;
  const std::uint64_t destination_block = copy.destination->view().block_bytes;
  copy.bytes = segment.block_count * (segment.counts_destination_blocks ? destination_block : source_block);
  if (copy.bytes % source_block != 0 || copy.bytes % destination_block != 0) {
    abort_copy(execution, unexpected_inexact_segment);
    return std::nullopt;
  }
  const scsi::BlockRange from{segment.source_lba, copy.bytes / source_block};
  const scsi::BlockRange to{segment.destination_lba, copy.bytes / destination_block};
  if (!from.fits(copy.source->view().block_count()) || !to.fits(copy.destination->view().block_count())) {
    abort_copy(execution, no_additional_sense_information);
    return std::nullopt;
  }
  if (!may(scsi::Opcode::read_16, *copy.source) || !may(scsi::Opcode::write_16, *copy.destination)) {
    execution.command.status = scsi::Status::reservation_conflict;
    return std::nullopt;
  }
  if (copy.destination->is_write_protected()) {
    execution.check_condition(scsi::SenseKey::data_protect, write_protected);
    return std::nullopt;
  }
  copy.from = copy.source->byte_offset(from.lba);
  copy.to = copy.destination->byte_offset(to.lba);
  return copy;
}

/// What a party's failure means for the copy. A full destination is said as it is: hypervisors wait for space.
void report_party(Execution& execution) {
  const std::optional<scsi::SenseData> cause = scsi::decode_sense(execution.command.sense.bytes());
  if (cause && cause->key == scsi::SenseKey::data_protect) {
    execution.check_condition(*cause);
  } else {
    abort_copy(execution, third_party_device_failure);
  }
}

/// One chunk through a buffer. False: the copy has ended.
runtime::Task<bool> copy_chunk(Execution& execution, const Copy& copy, std::uint64_t done, std::uint64_t size) {
  const backends::ByteRange from{copy.from + done, size};
  const backends::ByteRange to{copy.to + done, size};
  const std::optional<backends::Payload> payload = co_await read_range(*copy.source, from);
  bool copied = payload.has_value() && !execution.aborted();
  if (copied) {
    // A device may hand out its own memory, which must not be written from itself.
    std::vector<std::byte> apart;
    std::vector<iovec> segments(payload->segments().begin(), payload->segments().end());
    if (&copy.source->volume() == &copy.destination->volume() && volume::overlap(from, to)) {
      apart.resize(size);
      payload->copy_to(apart);
      segments.assign(1, {apart.data(), apart.size()});
    }
    copied = co_await write_range(*copy.destination, to.offset, segments, write_flags(*copy.destination, false), -1);
  }
  if (execution.aborted()) co_return false;
  if (!copied) report_party(execution);
  co_return copied;
}

runtime::Task<bool> copy_segment(Execution& execution, const Copy& copy, scsi::CopyProgress& progress) {
  for (std::uint64_t done = 0; done < copy.bytes;) {
    if (execution.aborted()) co_return false;
    if (copy.source->unit->gate().is_closed() || copy.destination->unit->gate().is_closed()) {
      abort_copy(execution, copy_target_device_not_reachable);  // it has been taken from this nexus
      co_return false;
    }
    const std::uint64_t size = std::min<std::uint64_t>(copy.bytes - done, backends::BlockChannel::transfer_bytes_max);
    if (!co_await copy_chunk(execution, copy, done, size)) co_return false;
    done += size;
    progress.bytes += size;
    co_await execution.worker.yield();
  }
  ++progress.segments;
  co_return true;
}

runtime::Task<bool> run_copy(Execution& execution, const scsi::CopyList& list, scsi::CopyProgress& progress) {
  Parties parties;
  if (!enter_parties(execution, list.targets, parties)) co_return false;
  for (const scsi::CopySegment& segment : list.segments) {
    const std::optional<Copy> copy = plan(execution, parties, segment);
    if (!copy || !co_await copy_segment(execution, *copy, progress)) co_return false;
  }
  co_return true;
}

}  // namespace

runtime::Task<> extended_copy(Execution& execution) {
  const std::uint32_t length = scsi::load32(execution.command.cdb, 10);
  if (length == 0) co_return;  // not an error
  if (length > parameter_list_bytes_max) {
    execution.illegal_request(parameter_list_length_error);
    co_return;
  }
  const std::optional<std::vector<std::uint8_t>> bytes = co_await receive_parameters(execution, length);
  if (!bytes) co_return;
  const auto decoded = scsi::decode_copy_list(*bytes, copy_limits);
  if (const auto* const refused = std::get_if<scsi::SenseData>(&decoded)) {
    execution.check_condition(*refused);
    co_return;
  }
  const auto& list = std::get<scsi::CopyList>(decoded);
  scsi::CopyProgress unrecorded;
  if (list.usage == scsi::ListIdUsage::none) {
    static_cast<void>(co_await run_copy(execution, list, unrecorded));
    co_return;
  }
  CopyRecords& records = execution.unit->copies();
  const CopyRecord* const before = records.find(list.list_identifier);
  if (before != nullptr && before->progress.status == scsi::CopyManagerStatus::in_progress) {
    execution.illegal_request(invalid_field_in_parameter_list);
    co_return;
  }
  CopyRecord* const record = records.add(list.list_identifier);
  if (record == nullptr) {
    execution.illegal_request(insufficient_resources);
    co_return;
  }
  const bool copied = co_await run_copy(execution, list, record->progress);
  record->progress.status =
      copied ? scsi::CopyManagerStatus::completed : scsi::CopyManagerStatus::completed_with_errors;
  if (!copied && !execution.aborted()) {
    record->sense.assign(execution.command.sense.bytes().begin(), execution.command.sense.bytes().end());
  }
  if (list.usage == scsi::ListIdUsage::discard && copied) records.remove(*record);
}

namespace {

/// The record LIST IDENTIFIER names. Null: the outcome is set.
const CopyRecord* find_record(Execution& execution) {
  const CopyRecord* const record = execution.unit->copies().find(execution.command.cdb[2]);
  if (record == nullptr) execution.invalid_field(2);
  return record;
}

}  // namespace

runtime::Task<> receive_copy_status(Execution& execution) {
  const CopyRecord* const record = find_record(execution);
  if (record == nullptr) co_return;
  const scsi::ReplyBytes data = scsi::encode_copy_status(record->progress);
  co_await reply(execution, data, scsi::load32(execution.command.cdb, 10));
}

// No segment of ours holds data back for the initiator.
runtime::Task<> receive_copy_data(Execution& execution) {
  if (find_record(execution) == nullptr) co_return;
  const scsi::ReplyBytes nothing(4);
  co_await reply(execution, nothing, scsi::load32(execution.command.cdb, 10));
}

runtime::Task<> receive_copy_operating_parameters(Execution& execution) {
  const scsi::ReplyBytes data = scsi::encode_copy_operating_parameters(copy_limits);
  co_await reply(execution, data, scsi::load32(execution.command.cdb, 10));
}

runtime::Task<> receive_copy_failed_segment_details(Execution& execution) {
  const CopyRecord* const record = find_record(execution);
  if (record == nullptr) co_return;
  const scsi::ReplyBytes data = scsi::encode_failed_segment_details(record->sense);
  co_await reply(execution, data, scsi::load32(execution.command.cdb, 10));
}

}  // namespace lunaris::scsi_server
