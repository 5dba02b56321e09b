// Mode pages (SPC-5 7.5, SBC-4 6.5): THE table of pages with their values and what may be changed in them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "protocol/scsi/inquiry.h"
#include "protocol/scsi/sense.h"

namespace lunaris::scsi {

/// What MODE SELECT may change. Everything else in the pages is fixed.
struct ModeSettings {
  bool write_cache_enabled = true;      // WCE, caching page
  bool descriptor_sense = false;        // D_SENSE, control page
  bool software_write_protect = false;  // SWP, control page
  bool operator==(const ModeSettings&) const = default;
};

/// PC of MODE SENSE (SPC-5 table 180).
enum class PageControl : std::uint8_t { current = 0, changeable = 1, defaults = 2, saved = 3 };

inline constexpr std::uint8_t all_mode_pages = 0x3f;
inline constexpr std::uint8_t all_mode_subpages = 0xff;

struct ModePageRow {
  std::uint8_t page;
  std::uint8_t subpage;
  std::string_view name;
  std::span<const std::uint8_t> bytes;  // whole page, header included, with every setting off
};
[[nodiscard]] std::span<const ModePageRow> mode_page_rows() noexcept;

/// The pages `page` and `subpage` name (3Fh and FFh: all), in ascending order; nothing when there is no such page.
[[nodiscard]] std::optional<ReplyBytes> encode_mode_pages(std::uint8_t page, std::uint8_t subpage, PageControl control,
                                                          const ModeSettings& current, const ModeSettings& defaults);

/// The block descriptor, if any, that MODE SENSE puts before the pages and MODE SELECT finds there.
struct ModeBlockDescriptor {
  std::uint64_t block_count = 0;
  std::uint32_t block_bytes = 0;
  bool long_lba = false;  // 16 bytes instead of 8
};
[[nodiscard]] ReplyBytes encode_mode_block_descriptor(const ModeBlockDescriptor& descriptor);

/// Header, block descriptor and pages of a MODE SENSE reply. `ten`: the 10 byte command's header.
[[nodiscard]] ReplyBytes encode_mode_reply(bool ten, bool write_protected,
                                           const std::optional<ModeBlockDescriptor>& block,
                                           std::span<const std::uint8_t> pages);

/// What a MODE SELECT parameter list asks for, or why it is refused.
struct ModeSelectVerdict {
  ModeSettings settings;
  std::optional<SenseData> refused;
};
/// `list` is the whole parameter list; `medium` the block size and count in force.
[[nodiscard]] ModeSelectVerdict decode_mode_select(bool ten, std::span<const std::uint8_t> list,
                                                   const ModeSettings& current, const ModeBlockDescriptor& medium);

}  // namespace lunaris::scsi
