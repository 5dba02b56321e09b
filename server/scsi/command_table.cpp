// The rows. Columns: opcode, service action, name, handler, direction, flags, CDB length, usage, nominal and
// recommended seconds. Usage bytes are written as the CDB's fields lie in SPC-5 and SBC-4; protection information
// (RDPROTECT and its siblings), ANCHOR and NACA stay zero there: asking for them is INVALID FIELD IN CDB.
#include "server/scsi/command_table.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "protocol/scsi/opcodes.h"
#include "server/runtime/assert.h"
#include "server/scsi/commands/commands.h"

namespace lunaris::scsi_server {
namespace {

using namespace command_flags;
using enum Direction;

constexpr std::uint16_t always = with_attention | without_unit | without_medium | past_reservations;
constexpr std::uint16_t reads_blocks = names_blocks | past_write_exclusive;
constexpr std::uint16_t describes = without_medium | past_write_exclusive;
constexpr std::uint16_t reserves = without_medium | asks_reservations;
constexpr std::uint16_t writes_blocks = names_blocks | writes;
constexpr std::int16_t no_sa = CommandRow::no_service_action;
constexpr std::uint8_t ff = 0xff;
constexpr std::uint8_t gn = 0x3f;  // GROUP NUMBER

// clang-format off
constexpr CommandRow rows[] = {
    {0x00, no_sa, "TEST UNIT READY", test_unit_ready, none, past_persistent, 6, {0x00, 0, 0, 0, 0, 0}, 1, 30},
    {0x03, no_sa, "REQUEST SENSE", request_sense, in, always, 6, {0x03, 0x01, 0, 0, ff, 0}, 1, 30},
    {0x04, no_sa, "FORMAT UNIT", format_unit, out, writes | with_failed_medium, 6, {0x04, 0x30, 0, 0, 0, 0}, 60, 3600},
    {0x08, no_sa, "READ (6)", read, in, reads_blocks, 6, {0x08, 0x1f, ff, ff, ff, 0}, 1, 60},
    {0x0a, no_sa, "WRITE (6)", write, out, writes_blocks, 6, {0x0a, 0x1f, ff, ff, ff, 0}, 1, 60},
    {0x12, no_sa, "INQUIRY", inquiry, in, always, 6, {0x12, 0x01, ff, ff, ff, 0}, 1, 30},
    {0x15, no_sa, "MODE SELECT (6)", mode_select, out, without_medium, 6, {0x15, 0x10, 0, 0, ff, 0}, 1, 30},
    {0x16, no_sa, "RESERVE (6)", reserve_unit, none, reserves, 6, {0x16, 0, 0, 0, 0, 0}, 1, 30},
    {0x17, no_sa, "RELEASE (6)", release_unit, none, reserves, 6, {0x17, 0, 0, 0, 0, 0}, 1, 30},
    {0x1a, no_sa, "MODE SENSE (6)", mode_sense, in, describes, 6,
        {0x1a, 0x08, ff, ff, ff, 0}, 1, 30},
    {0x1b, no_sa, "START STOP UNIT", start_stop_unit, none, moves_medium, 6, {0x1b, 0x01, 0, 0x0f, 0xf7, 0}, 1, 60},
    {0x1c, no_sa, "RECEIVE DIAGNOSTIC RESULTS", receive_diagnostic_results, in, describes, 6,
        {0x1c, 0x01, ff, ff, ff, 0}, 1, 30},
    {0x1d, no_sa, "SEND DIAGNOSTIC", send_diagnostic, none, 0, 6, {0x1d, 0x14, 0, 0, 0, 0}, 1, 30},
    {0x1e, no_sa, "PREVENT ALLOW MEDIUM REMOVAL", prevent_allow_medium_removal, none, without_medium, 6,
        {0x1e, 0, 0, 0, 0x03, 0}, 1, 30},
    {0x25, no_sa, "READ CAPACITY (10)", read_capacity_10, in, past_reservations, 10,
        {0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 30},
    {0x28, no_sa, "READ (10)", read, in, reads_blocks, 10, {0x28, 0x18, ff, ff, ff, ff, gn, ff, ff, 0}, 1, 60},
    {0x2a, no_sa, "WRITE (10)", write, out, writes_blocks, 10, {0x2a, 0x18, ff, ff, ff, ff, gn, ff, ff, 0}, 1, 60},
    {0x2e, no_sa, "WRITE AND VERIFY (10)", write_and_verify, out, writes_blocks, 10,
        {0x2e, 0x16, ff, ff, ff, ff, gn, ff, ff, 0}, 1, 60},
    {0x2f, no_sa, "VERIFY (10)", verify, out, reads_blocks, 10, {0x2f, 0x16, ff, ff, ff, ff, gn, ff, ff, 0}, 1, 60},
    {0x34, no_sa, "PRE-FETCH (10)", pre_fetch, none, reads_blocks, 10,
        {0x34, 0x02, ff, ff, ff, ff, gn, ff, ff, 0}, 1, 60},
    {0x35, no_sa, "SYNCHRONIZE CACHE (10)", synchronize_cache, none, names_blocks, 10,
        {0x35, 0x02, ff, ff, ff, ff, gn, ff, ff, 0}, 1, 60},
    {0x37, no_sa, "READ DEFECT DATA (10)", read_defect_data_10, in, past_write_exclusive, 10,
        {0x37, 0, 0x1f, 0, 0, 0, 0, ff, ff, 0}, 1, 30},
    {0x41, no_sa, "WRITE SAME (10)", write_same, out, writes_blocks, 10,
        {0x41, 0x08, ff, ff, ff, ff, gn, ff, ff, 0}, 1, 120},
    {0x42, no_sa, "UNMAP", unmap, out, writes | needs_discard, 10, {0x42, 0, 0, 0, 0, 0, gn, ff, ff, 0}, 1, 120},
    {0x48, 0x01, "SANITIZE OVERWRITE", sanitize_overwrite, out, writes | with_failed_medium, 10,
        {0x48, 0xa1, 0, 0, 0, 0, 0, ff, ff, 0}, 60, 3600},
    {0x48, 0x02, "SANITIZE BLOCK ERASE", sanitize_block_erase, none, writes | needs_discard | with_failed_medium, 10,
        {0x48, 0xa2, 0, 0, 0, 0, 0, 0, 0, 0}, 60, 3600},
    {0x48, 0x1f, "SANITIZE EXIT FAILURE MODE", sanitize_exit_failure_mode, none, with_failed_medium, 10,
        {0x48, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 30},
    {0x4d, no_sa, "LOG SENSE", log_sense, in, without_medium | past_reservations, 10,
        {0x4d, 0, ff, ff, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x55, no_sa, "MODE SELECT (10)", mode_select, out, without_medium, 10,
        {0x55, 0x10, 0, 0, 0, 0, 0, ff, ff, 0}, 1, 30},
    {0x56, no_sa, "RESERVE (10)", reserve_unit, none, reserves, 10, {0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 30},
    {0x57, no_sa, "RELEASE (10)", release_unit, none, reserves, 10, {0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 30},
    {0x5a, no_sa, "MODE SENSE (10)", mode_sense, in, describes, 10,
        {0x5a, 0x18, ff, ff, 0, 0, 0, ff, ff, 0}, 1, 30},
    {0x5e, 0x00, "PERSISTENT RESERVE IN, READ KEYS", persistent_reserve_in, in, reserves, 10,
        {0x5e, 0x00, 0, 0, 0, 0, 0, ff, ff, 0}, 1, 30},
    {0x5e, 0x01, "PERSISTENT RESERVE IN, READ RESERVATION", persistent_reserve_in, in, reserves, 10,
        {0x5e, 0x01, 0, 0, 0, 0, 0, ff, ff, 0}, 1, 30},
    {0x5e, 0x02, "PERSISTENT RESERVE IN, REPORT CAPABILITIES", persistent_reserve_in, in, reserves, 10,
        {0x5e, 0x02, 0, 0, 0, 0, 0, ff, ff, 0}, 1, 30},
    {0x5e, 0x03, "PERSISTENT RESERVE IN, READ FULL STATUS", persistent_reserve_in, in, reserves, 10,
        {0x5e, 0x03, 0, 0, 0, 0, 0, ff, ff, 0}, 1, 30},
    {0x5f, 0x00, "PERSISTENT RESERVE OUT, REGISTER", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x00, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x01, "PERSISTENT RESERVE OUT, RESERVE", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x01, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x02, "PERSISTENT RESERVE OUT, RELEASE", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x02, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x03, "PERSISTENT RESERVE OUT, CLEAR", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x03, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x04, "PERSISTENT RESERVE OUT, PREEMPT", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x04, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x05, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x05, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x06, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x06, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x07, "PERSISTENT RESERVE OUT, REGISTER AND MOVE", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x07, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x5f, 0x08, "PERSISTENT RESERVE OUT, REPLACE LOST RESERVATION", persistent_reserve_out, out, reserves, 10,
        {0x5f, 0x08, ff, 0, 0, ff, ff, ff, ff, 0}, 1, 30},
    {0x83, 0x00, "EXTENDED COPY (LID1)", extended_copy, out, 0, 16,
        {0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 600},
    {0x84, 0x00, "RECEIVE COPY STATUS (LID1)", receive_copy_status, in, without_medium, 16,
        {0x84, 0, ff, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0x84, 0x01, "RECEIVE COPY DATA (LID1)", receive_copy_data, in, without_medium, 16,
        {0x84, 0x01, ff, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0x84, 0x03, "RECEIVE COPY OPERATING PARAMETERS", receive_copy_operating_parameters, in, without_medium, 16,
        {0x84, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0x84, 0x04, "RECEIVE COPY FAILURE DETAILS (LID1)", receive_copy_failed_segment_details, in, without_medium, 16,
        {0x84, 0x04, ff, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0x88, no_sa, "READ (16)", read, in, reads_blocks, 16,
        {0x88, 0x18, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0x89, no_sa, "COMPARE AND WRITE", compare_and_write, out, writes_blocks, 16,
        {0x89, 0x18, ff, ff, ff, ff, ff, ff, ff, ff, 0, 0, 0, ff, gn, 0}, 1, 60},
    {0x8a, no_sa, "WRITE (16)", write, out, writes_blocks, 16,
        {0x8a, 0x18, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0x8b, no_sa, "ORWRITE (16)", orwrite, out, writes_blocks, 16,
        {0x8b, 0x18, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0x8e, no_sa, "WRITE AND VERIFY (16)", write_and_verify, out, writes_blocks, 16,
        {0x8e, 0x16, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0x8f, no_sa, "VERIFY (16)", verify, out, reads_blocks, 16,
        {0x8f, 0x16, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0x90, no_sa, "PRE-FETCH (16)", pre_fetch, none, reads_blocks, 16,
        {0x90, 0x02, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0x91, no_sa, "SYNCHRONIZE CACHE (16)", synchronize_cache, none, names_blocks, 16,
        {0x91, 0x02, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0x93, no_sa, "WRITE SAME (16)", write_same, out, writes_blocks, 16,
        {0x93, 0x09, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 120},
    {0x9c, no_sa, "WRITE ATOMIC (16)", write_atomic, out, writes_blocks, 16,
        {0x9c, 0x18, ff, ff, ff, ff, ff, ff, ff, ff, 0, 0, ff, ff, gn, 0}, 1, 60},
    {0x9e, 0x10, "READ CAPACITY (16)", read_capacity_16, in, past_reservations, 16,
        {0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0x9e, 0x12, "GET LBA STATUS", get_lba_status, in, past_write_exclusive, 16,
        {0x9e, 0x12, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0, 0}, 1, 60},
    {0xa0, no_sa, "REPORT LUNS", report_luns, in, always, 12, {0xa0, 0, ff, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0xa3, 0x0a, "REPORT TARGET PORT GROUPS", report_target_port_groups, in, without_medium | past_persistent, 12,
        {0xa3, 0x2a, 0, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0xa3, 0x0c, "REPORT SUPPORTED OPERATION CODES", report_supported_operation_codes, in,
        without_medium | past_write_exclusive, 12,
        {0xa3, 0x0c, 0x87, ff, ff, ff, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0xa3, 0x0d, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", report_supported_task_management_functions, in,
        without_medium | past_write_exclusive, 12, {0xa3, 0x0d, 0x80, 0, 0, 0, ff, ff, ff, ff, 0, 0}, 1, 30},
    {0xa8, no_sa, "READ (12)", read, in, reads_blocks, 12, {0xa8, 0x18, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0xaa, no_sa, "WRITE (12)", write, out, writes_blocks, 12,
        {0xaa, 0x18, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0xae, no_sa, "WRITE AND VERIFY (12)", write_and_verify, out, writes_blocks, 12,
        {0xae, 0x16, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0xaf, no_sa, "VERIFY (12)", verify, out, reads_blocks, 12,
        {0xaf, 0x16, ff, ff, ff, ff, ff, ff, ff, ff, gn, 0}, 1, 60},
    {0xb7, no_sa, "READ DEFECT DATA (12)", read_defect_data_12, in, past_write_exclusive, 12,
        {0xb7, 0x1f, ff, ff, ff, ff, ff, ff, ff, ff, 0, 0}, 1, 30},
};
// clang-format on

/// First row and number of rows of every opcode, so that finding a row is one look-up.
struct Slot {
  std::uint8_t first = 0;
  std::uint8_t count = 0;
};

constexpr std::array<Slot, 256> make_index() {
  std::array<Slot, 256> index{};
  for (std::size_t row = 0; row < std::size(rows); ++row) {
    Slot& slot = index[rows[row].opcode];
    if (slot.count == 0) slot.first = static_cast<std::uint8_t>(row);
    ++slot.count;
  }
  return index;
}
constexpr std::array<Slot, 256> index_of_opcode = make_index();

}  // namespace

std::span<const CommandRow> command_rows() noexcept {
  return rows;
}

std::span<const CommandRow> command_rows(std::uint8_t opcode) noexcept {
  const Slot slot = index_of_opcode[opcode];
  return std::span<const CommandRow>(rows).subspan(slot.first, slot.count);
}

const CommandRow* find_command(std::span<const std::uint8_t> cdb) noexcept {
  LUN_ASSERT(cdb.size() >= 2);
  const std::span<const CommandRow> candidates = command_rows(cdb[0]);
  if (candidates.empty()) return nullptr;
  if (!candidates.front().has_service_action()) return &candidates.front();
  const auto found = std::find_if(candidates.begin(), candidates.end(),
                                  [&](const CommandRow& row) { return row.service_action == (cdb[1] & 0x1f); });
  return found == candidates.end() ? nullptr : &*found;
}

std::uint16_t first_wrong_byte(const CommandRow& row, std::span<const std::uint8_t> cdb) noexcept {
  LUN_ASSERT(cdb.size() >= row.cdb_bytes);
  for (std::uint16_t byte = 1; byte < row.cdb_bytes; ++byte) {
    if ((cdb[byte] & ~row.usage[byte] & 0xff) != 0) return byte;
  }
  return 0;
}

}  // namespace lunaris::scsi_server
