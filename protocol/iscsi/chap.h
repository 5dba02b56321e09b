// CHAP: the challenge and response of RFC 1994 in login keys (RFC 7143 12.1.3), one-way and mutual. An Authenticator
// for the login machine; the session makes one per login from what is configured.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/iscsi/login.h"

namespace lunaris::iscsi {

/// CHAP_A (RFC 7143 12.1.3 and the IANA registry of CHAP algorithms).
enum class ChapAlgorithm : std::uint8_t { md5 = 5, sha1 = 6, sha256 = 7, sha3_256 = 8 };

inline constexpr std::array chap_algorithms_all{ChapAlgorithm::sha3_256, ChapAlgorithm::sha256, ChapAlgorithm::sha1,
                                                ChapAlgorithm::md5};
/// The longest response: 32 bytes of SHA-256 and SHA3-256.
inline constexpr std::size_t chap_response_bytes_max = 32;
/// RFC 7143 12.1.3: the binary length of CHAP_C is at most 1024 bytes.
inline constexpr std::size_t chap_challenge_bytes_max = 1024;

/// Two byte strings of public length, in a time that does not depend on where they differ.
[[nodiscard]] bool equal_in_constant_time(std::span<const std::byte> left, std::span<const std::byte> right) noexcept;

struct ChapResponse {
  std::array<std::byte, chap_response_bytes_max> bytes{};
  std::size_t size = 0;  // 0: this build of OpenSSL refuses the algorithm
  [[nodiscard]] std::span<const std::byte> view() const noexcept { return std::span(bytes).first(size); }
};
/// RFC 1994 4.1: the digest of identifier, secret and challenge.
[[nodiscard]] ChapResponse chap_response(ChapAlgorithm algorithm, std::uint8_t identifier, std::string_view secret,
                                         std::span<const std::byte> challenge) noexcept;

/// What one login is asked: never asked again.
struct ChapChallenge {
  static constexpr std::size_t random_bytes = 17;  // of the owner's generator: identifier and 128 bits of challenge
  static constexpr std::size_t challenge_bytes = 32;
  std::uint8_t identifier = 0;
  std::array<std::byte, challenge_bytes> bytes{};
};

/// Makes challenges and knows its own again, without remembering them: the second half of a challenge is a digest of
/// the first under a key that never leaves this object. So a challenge of ours that comes back on any connection of any
/// worker, now or later, is recognised as a reflection (RFC 7143 9.2.1), and there is no table to fill. One per
/// process; immutable, any thread.
class ChapChallenges {
 public:
  static constexpr std::size_t key_bytes = 32;
  explicit ChapChallenges(std::span<const std::byte, key_bytes> key) noexcept;
  ~ChapChallenges();
  ChapChallenges(const ChapChallenges&) = delete;
  ChapChallenges& operator=(const ChapChallenges&) = delete;

  /// `random`: fresh bytes that no peer can predict.
  [[nodiscard]] ChapChallenge make(std::span<const std::byte, ChapChallenge::random_bytes> random) const noexcept;
  [[nodiscard]] bool is_ours(std::span<const std::byte> challenge) const noexcept;

 private:
  std::array<std::byte, key_bytes> key_{};
};

/// A name and its secret. Refers to the owner's configuration, which outlives the authenticator.
struct ChapCredential {
  std::string_view username;
  std::string_view secret;
};

/// A user who may log in, and how the target proves itself to him when he asks.
struct ChapUser {
  ChapCredential credential;
  std::optional<ChapCredential> mutual;
};

/// What one login may do.
struct ChapPolicy {
  std::vector<ChapUser> users;            // user names are distinct
  bool required = true;                   // false: AuthMethod=None will do as well
  std::vector<ChapAlgorithm> algorithms;  // allowed; empty: all
};

/// State drawing; a request arrives at each arrow, anything else fails:
///
///   [ method ] -- AuthMethod with CHAP --> [ algorithm ] -- CHAP_A --> [ response ] -- CHAP_N CHAP_R [CHAP_I CHAP_C]
///   -->
///       |                                                                               [ passed ] or [ failed ]
///       +-- AuthMethod with None, CHAP not required --> [ passed ]
///
/// The first method and the first algorithm of the initiator's lists that we allow are taken. An unknown name costs the
/// work of a known one and is answered the same.
class ChapAuthenticator final : public Authenticator {
 public:
  /// `challenges` outlives the authenticator.
  ChapAuthenticator(ChapPolicy policy, const ChapChallenges& challenges, ChapChallenge challenge);

  [[nodiscard]] bool is_required() const noexcept override { return policy_.required; }
  Verdict receive(std::span<const KeyValue> keys, TextBuilder& answers) override;
  [[nodiscard]] std::string_view reason() const noexcept override { return reason_; }

  /// Who has passed; empty: nobody yet, or without CHAP.
  [[nodiscard]] const std::string& username() const noexcept { return username_; }
  /// What CHAP_N said, proven or not; for counting failures.
  [[nodiscard]] const std::string& claimed_username() const noexcept { return claimed_username_; }

 private:
  enum class State : std::uint8_t { method, algorithm, response, passed, failed };
  /// The keys of the last step, as received.
  struct Response {
    std::optional<std::string_view> name, response, identifier, challenge;
  };

  Verdict choose_method(std::span<const KeyValue> keys, TextBuilder& answers);
  Verdict choose_algorithm(std::span<const KeyValue> keys, TextBuilder& answers);
  Verdict check_response(std::span<const KeyValue> keys, TextBuilder& answers);
  Verdict verify(const Response& response, TextBuilder& answers);
  Verdict prove(const ChapUser& user, const Response& response, std::span<const std::byte> their_response,
                TextBuilder& answers);
  Verdict end(Verdict verdict, std::string_view reason) noexcept;
  [[nodiscard]] bool is_allowed(ChapAlgorithm algorithm) const noexcept;
  [[nodiscard]] const ChapUser* find_user(std::string_view name) const noexcept;

  ChapPolicy policy_;
  const ChapChallenges& challenges_;
  ChapChallenge challenge_;
  State state_ = State::method;
  ChapAlgorithm algorithm_ = ChapAlgorithm::md5;
  std::string username_;
  std::string claimed_username_;
  std::string_view reason_;
};

}  // namespace lunaris::iscsi
