// Parsing, joining and cutting of key=value text.
#include "protocol/iscsi/text.h"

#include <algorithm>

namespace lunaris::iscsi {

namespace {

/// RFC 7143 6.1: standard-label and its extensions. Bytes above 0x7f cannot be in a key name.
bool is_key_name(std::string_view name) noexcept {
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  const auto is_allowed = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || std::string_view(".-+@_#").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= key_name_bytes_max && is_letter(name.front()) &&
         std::ranges::all_of(name, is_allowed);
}

TextFault parse_pair(std::string_view pair, KeyValue& result) noexcept {
  const std::size_t equals = pair.find('=');
  if (equals == std::string_view::npos) return TextFault::no_equals_sign;
  result = {pair.substr(0, equals), pair.substr(equals + 1)};
  if (!is_key_name(result.key)) return TextFault::bad_key_name;
  return result.value.size() > value_bytes_max ? TextFault::value_too_long : TextFault::none;
}

}  // namespace

std::string_view to_string(TextFault fault) noexcept {
  switch (fault) {
    case TextFault::none:
      return "no fault";
    case TextFault::no_equals_sign:
      return "pair without equals sign";
    case TextFault::bad_key_name:
      return "malformed key name";
    case TextFault::value_too_long:
      return "value too long";
    case TextFault::not_terminated:
      return "text not terminated by NUL";
    case TextFault::empty_pair:
      return "empty pair";
    case TextFault::too_many_pairs:
      return "too many pairs";
    case TextFault::too_much_text:
      return "too much text";
  }
  return "?";
}

TextFault parse_text(std::string_view text, std::vector<KeyValue>& pairs) {
  pairs.clear();
  if (text.size() > negotiation_text_bytes_max) return TextFault::too_much_text;
  const std::size_t last = text.find_last_not_of('\0');
  if (last == std::string_view::npos) return TextFault::none;
  if (last + 1 == text.size()) return TextFault::not_terminated;
  text = text.substr(0, last + 2);
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    if (end == 0) return TextFault::empty_pair;
    if (pairs.size() == pairs_max) return TextFault::too_many_pairs;
    KeyValue pair;
    if (const TextFault fault = parse_pair(text.substr(0, end), pair); fault != TextFault::none) return fault;
    pairs.push_back(pair);
    text.remove_prefix(end + 1);
  }
  return TextFault::none;
}

bool TextAssembler::append(std::span<const std::byte> data) {
  if (bytes_before_ + text_.size() + data.size() > bytes_max_) return false;
  text_.reserve(text_.size() + data.size());
  for (const std::byte byte : data) text_.push_back(static_cast<char>(byte));
  return true;
}

void TextAssembler::clear() noexcept {
  bytes_before_ += text_.size();
  text_.clear();
}

TextBuilder& TextBuilder::add(std::string_view key, std::string_view value) {
  text_.append(key).append(1, '=').append(value).append(1, '\0');
  return *this;
}

TextBuilder& TextBuilder::add(std::string_view key, std::uint64_t value) {
  return add(key, std::to_string(value));
}

TextBuilder::Chunk TextBuilder::take(std::size_t bytes_max) noexcept {
  const std::string_view rest = std::string_view(text_).substr(sent_);
  const std::string_view chunk = rest.substr(0, bytes_max);
  sent_ += chunk.size();
  return {chunk, chunk.size() < rest.size()};
}

void TextBuilder::clear() noexcept {
  text_.clear();
  sent_ = 0;
}

}  // namespace lunaris::iscsi
