// READ DEFECT DATA (10) and (12) (SBC-4 5.20, 5.21): both lists are there and empty, as there is no medium of ours
// whose sectors could be bad.
#include <array>

#include "protocol/scsi/fields.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {
namespace {

/// REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT of the CDB are PLISTV, GLISTV and DEFECT LIST FORMAT of the answer: what
/// is asked for is valid, and an empty list is the same in every format.
constexpr std::uint8_t lists_and_format = 0x1f;

}  // namespace

runtime::Task<> read_defect_data_10(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  std::array<std::uint8_t, 4> header{};
  scsi::store8(header, 1, cdb[2] & lists_and_format);
  co_await reply(execution, header, scsi::load16(cdb, 7));
}

runtime::Task<> read_defect_data_12(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  std::array<std::uint8_t, 8> header{};
  scsi::store8(header, 1, cdb[1] & lists_and_format);
  co_await reply(execution, header, scsi::load32(cdb, 6));
}

}  // namespace lunaris::scsi_server
