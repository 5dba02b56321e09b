// The log page table and its encoding.
#include "protocol/scsi/log_pages.h"

#include <algorithm>
#include <array>
#include <span>

#include "protocol/scsi/fields.h"

namespace lunaris::scsi {
namespace {

// SPC-5 7.3.24: parameter 0000h, TEMPERATURE FFh: cannot be told; 0001h REFERENCE TEMPERATURE FFh: there is none.
constexpr std::array<std::uint8_t, 12> temperature{0x00, 0x00, 0x03, 0x02, 0x00, 0xff,
                                                   0x00, 0x01, 0x03, 0x02, 0x00, 0xff};
// SPC-5 7.3.11: parameter 0000h: no exception pending, most recent temperature not known.
constexpr std::array<std::uint8_t, 8> informational_exceptions{0x00, 0x00, 0x03, 0x04, 0x00, 0x00, 0xff, 0x00};

struct LogPageRow {
  std::uint8_t page;
  std::span<const std::uint8_t> parameters;
};
constexpr std::array<LogPageRow, 3> rows{{
    {0x00, {}},
    {0x0d, temperature},
    {0x2f, informational_exceptions},
}};
constexpr std::uint8_t all_subpages = 0xff;

/// SPC-5 7.3.20 and 7.3.21: the codes of all pages, with their subpages when `with_subpages`.
ReplyBytes supported_pages(bool with_subpages) {
  ReplyBytes bytes(4);
  if (with_subpages) {
    store8(bytes, 0, 0x40);  // SPF
    store8(bytes, 1, all_subpages);
  }
  for (const LogPageRow& row : rows) {
    bytes.push_back(row.page);
    if (with_subpages) bytes.push_back(0);
    if (with_subpages && row.page == 0) bytes.insert(bytes.end(), {row.page, all_subpages});
  }
  store16(bytes, 2, bytes.size() - 4);
  return bytes;
}

}  // namespace

std::optional<ReplyBytes> encode_log_page(std::uint8_t page, std::uint8_t subpage) {
  if (page == 0 && (subpage == 0 || subpage == all_subpages)) return supported_pages(subpage == all_subpages);
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const LogPageRow& candidate) { return candidate.page == page; });
  if (row == rows.end() || subpage != 0) return std::nullopt;
  ReplyBytes bytes(4);
  store8(bytes, 0, row->page);
  store16(bytes, 2, row->parameters.size());
  bytes.insert(bytes.end(), row->parameters.begin(), row->parameters.end());
  return bytes;
}

}  // namespace lunaris::scsi
