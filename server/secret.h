// Secret: a CHAP secret on its way from the configuration to the login. It cannot be printed, formatted or converted:
// whoever needs the text says `reveal`, and a search for that word finds every place.
#pragma once

#include <string.h>

#include <string>
#include <string_view>
#include <utility>

namespace lunaris {

/// The memory is overwritten when the secret goes. Copies are independent.
class Secret final {
 public:
  Secret() = default;
  explicit Secret(std::string_view text) : text_(text) {}
  Secret(const Secret& other) = default;
  Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      wipe();
      text_ = other.text_;
    }
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      text_ = std::move(other.text_);
      other.wipe();
    }
    return *this;
  }
  ~Secret() { wipe(); }

  [[nodiscard]] std::string_view reveal() const noexcept { return text_; }
  [[nodiscard]] bool is_empty() const noexcept { return text_.empty(); }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return text_.size(); }
  /// For comparing configurations; authentication compares digests, in constant time.
  bool operator==(const Secret& other) const = default;

 private:
  void wipe() noexcept {
    text_.resize(text_.capacity());  // within the capacity: a short string lives inside the object
    ::explicit_bzero(text_.data(), text_.size());
    text_.clear();
  }

  std::string text_;
};

}  // namespace lunaris
