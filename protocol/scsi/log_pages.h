// Log pages (SPC-5 7.3): a table of the few that a volume has something to say in.
#pragma once

#include <cstdint>
#include <optional>

#include "protocol/scsi/inquiry.h"

namespace lunaris::scsi {

/// 00 (supported pages; subpage FF: with subpages), 0D (temperature: not known), 2F (informational exceptions: none).
[[nodiscard]] std::optional<ReplyBytes> encode_log_page(std::uint8_t page, std::uint8_t subpage);

}  // namespace lunaris::scsi
