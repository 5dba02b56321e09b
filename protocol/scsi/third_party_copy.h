// Third-party copy (SPC-4 6.3 EXTENDED COPY (LID1), 6.17 to 6.20 RECEIVE COPY RESULTS, 7.8.17 VPD page 8Fh): the
// parameter list as values, and the replies as bytes. Used by server/scsi/commands/copy.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "protocol/scsi/inquiry.h"
#include "protocol/scsi/sense.h"

namespace lunaris::scsi {

/// What a copy manager takes in one command.
struct CopyLimits {
  std::uint16_t targets = 0;
  std::uint16_t segments = 0;
  std::uint32_t list_bytes = 0;     // both descriptor lists together
  std::uint32_t segment_bytes = 0;  // what one segment may copy; 0: whatever its fields can say
  std::uint8_t concurrent_copies = 0;
};

/// LIST ID USAGE (SPC-4 table 105).
enum class ListIdUsage : std::uint8_t { hold = 0, reserved = 1, discard = 2, none = 3 };

/// An identification descriptor target descriptor, E4h (SPC-4 6.3.6.4), of a block device.
struct CopyTarget {
  Designator designator;
  std::uint32_t block_bytes = 0;  // DISK BLOCK LENGTH
  bool pad = false;
};

/// A block to block segment descriptor, 02h (SPC-4 6.3.7.5).
struct CopySegment {
  std::uint16_t source = 0;
  std::uint16_t destination = 0;
  std::uint16_t block_count = 0;
  std::uint64_t source_lba = 0;
  std::uint64_t destination_lba = 0;
  bool counts_destination_blocks = false;  // DC
};

struct CopyList {
  std::uint8_t list_identifier = 0;
  ListIdUsage usage = ListIdUsage::hold;
  std::vector<CopyTarget> targets;
  std::vector<CopySegment> segments;
};

/// `list` is the whole parameter list, not empty. The designators refer to its bytes.
[[nodiscard]] std::variant<CopyList, SenseData> decode_copy_list(std::span<const std::uint8_t> list,
                                                                 const CopyLimits& limits);

/// COPY STATUS of RECEIVE COPY RESULTS (SPC-4 table 196).
enum class CopyManagerStatus : std::uint8_t { in_progress = 0, completed = 1, completed_with_errors = 2 };
struct CopyProgress {
  CopyManagerStatus status = CopyManagerStatus::in_progress;
  std::uint16_t segments = 0;  // processed
  std::uint64_t bytes = 0;     // written
};
[[nodiscard]] ReplyBytes encode_copy_status(const CopyProgress& progress);
[[nodiscard]] ReplyBytes encode_copy_operating_parameters(const CopyLimits& limits);
/// `sense` is empty where no segment failed.
[[nodiscard]] ReplyBytes encode_failed_segment_details(std::span<const std::uint8_t> sense);

struct CopyCommand {
  std::uint8_t opcode;
  std::vector<std::uint8_t> service_actions;
};
[[nodiscard]] ReplyBytes encode_third_party_copy_page(const CopyLimits& limits,
                                                      const std::vector<CopyCommand>& commands);

}  // namespace lunaris::scsi
