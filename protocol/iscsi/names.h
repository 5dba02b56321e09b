// iSCSI names: iqn, eui, naa (RFC 7143 4.2.7, RFC 3720 appendix; naa: RFC 3980). Used by login, discovery and the
// configuration's validation.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lunaris::iscsi {

inline constexpr std::size_t name_bytes_max = 223;

/// The name as names are compared: ASCII letters in lower case. Nothing when it is not a legal name: over 223 bytes, no
/// iqn./eui./naa. form, or characters outside a-z 0-9 - . : (bytes above 0x7f are passed as they are, if valid UTF-8:
/// an IQN's free part may be international and is expected normalised by its sender).
[[nodiscard]] std::optional<std::string> normalize_name(std::string_view name);

/// As words for a message to the administrator; empty when the name is legal.
[[nodiscard]] std::string_view name_problem(std::string_view name) noexcept;

}  // namespace lunaris::iscsi
