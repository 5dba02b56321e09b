// Key=value text of Login and Text PDUs: parsing what a peer sent, building answers, and cutting both at the C bit
// (RFC 7143 6.1, 6.2). Nothing here makes C strings; every length is bounded before anything is stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lunaris::iscsi {

/// RFC 7143 6.1: a key name is at most 63 bytes.
inline constexpr std::size_t key_name_bytes_max = 63;
/// Larger than any value of RFC 7143: CHAP_C and CHAP_R of 1024 bytes in hexadecimal are 2050. Each key has its own
/// limit in the key table; this one bounds values of keys we do not know.
inline constexpr std::size_t value_bytes_max = 8191;
/// Text of one negotiation, and the pairs in it.
inline constexpr std::size_t negotiation_text_bytes_max = std::size_t{64} * 1024;
inline constexpr std::size_t pairs_max = 512;

struct KeyValue {
  std::string_view key;
  std::string_view value;
  bool operator==(const KeyValue&) const = default;
};

enum class TextFault : std::uint8_t {
  none,
  no_equals_sign,
  bad_key_name,  // empty, over 63 bytes, or bytes a key name cannot have
  value_too_long,
  not_terminated,  // the last pair has no NUL
  empty_pair,      // NUL NUL before the end
  too_many_pairs,
  too_much_text,
};
[[nodiscard]] std::string_view to_string(TextFault fault) noexcept;

/// Splits `text` into `pairs`, which refer to it. NUL bytes after the last pair are tolerated (padding that a sender
/// counted as data); an empty text is no pairs. On a fault `pairs` holds what came before it.
[[nodiscard]] TextFault parse_text(std::string_view text, std::vector<KeyValue>& pairs);

/// Joins the data segments of one logical text (C = 1 ... C = 0).
class TextAssembler {
 public:
  explicit TextAssembler(std::size_t bytes_max = negotiation_text_bytes_max) noexcept : bytes_max_(bytes_max) {}

  /// False when the text would pass the limit; nothing is stored then.
  [[nodiscard]] bool append(std::span<const std::byte> data);
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  /// Starts the next text. Bytes of earlier ones still count against the limit.
  void clear() noexcept;

 private:
  std::size_t bytes_max_;
  std::size_t bytes_before_ = 0;
  std::string text_;
};

/// Collects answers and hands them out in data segments of bounded size.
class TextBuilder {
 public:
  TextBuilder& add(std::string_view key, std::string_view value);
  TextBuilder& add(std::string_view key, std::uint64_t value);

  [[nodiscard]] std::size_t size_bytes() const noexcept { return text_.size() - sent_; }
  [[nodiscard]] bool is_empty() const noexcept { return size_bytes() == 0; }

  struct Chunk {
    std::string_view text;   // valid until the builder changes
    bool continues = false;  // C: more follows
  };
  /// The next at most `bytes_max` bytes; a pair may be cut anywhere (RFC 7143 6.2: only the joined text is parsed).
  [[nodiscard]] Chunk take(std::size_t bytes_max) noexcept;
  void clear() noexcept;

 private:
  std::string text_;
  std::size_t sent_ = 0;
};

}  // namespace lunaris::iscsi
