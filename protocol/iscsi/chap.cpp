// The steps of CHAP, each with all that can be wrong with it.
#include "protocol/iscsi/chap.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "protocol/bytes/text_codec.h"

namespace lunaris::iscsi {

namespace {

/// What an unknown name is measured against: as long as a usual secret, so that the work is the same.
constexpr std::string_view dummy_secret = "no such user....";

const EVP_MD* digest_of(ChapAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case ChapAlgorithm::md5:
      return EVP_md5();
    case ChapAlgorithm::sha1:
      return EVP_sha1();
    case ChapAlgorithm::sha256:
      return EVP_sha256();
    case ChapAlgorithm::sha3_256:
      return EVP_sha3_256();
  }
  return nullptr;
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

/// The digest of the parts one after the other; 0 when OpenSSL refuses.
std::size_t digest(const EVP_MD* kind, std::initializer_list<std::span<const std::byte>> parts,
                   std::span<std::byte, chap_response_bytes_max> out) noexcept {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  if (!context || EVP_DigestInit_ex(context.get(), kind, nullptr) != 1) return 0;
  for (const std::span<const std::byte> part : parts)
    if (EVP_DigestUpdate(context.get(), part.data(), part.size()) != 1) return 0;
  std::array<unsigned char, EVP_MAX_MD_SIZE> result{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context.get(), result.data(), &size) != 1 || size > out.size()) return 0;
  std::ranges::transform(std::span(result).first(size), out.begin(), [](unsigned char c) { return std::byte{c}; });
  return size;
}

/// The next value of a comma-separated list, taken from it.
std::string_view take_value(std::string_view& list) noexcept {
  const std::size_t comma = list.find(',');
  const std::string_view value = list.substr(0, comma);
  list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  return value;
}

}  // namespace

bool equal_in_constant_time(std::span<const std::byte> left, std::span<const std::byte> right) noexcept {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

ChapResponse chap_response(ChapAlgorithm algorithm, std::uint8_t identifier, std::string_view secret,
                           std::span<const std::byte> challenge) noexcept {
  ChapResponse response;
  const std::array identifier_byte{std::byte{identifier}};
  response.size =
      digest(digest_of(algorithm), {identifier_byte, std::as_bytes(std::span(secret)), challenge}, response.bytes);
  return response;
}

// ---- challenges ---------------------------------------------------------------------------------------------------

ChapChallenges::ChapChallenges(std::span<const std::byte, key_bytes> key) noexcept {
  std::ranges::copy(key, key_.begin());
}

ChapChallenges::~ChapChallenges() {
  OPENSSL_cleanse(key_.data(), key_.size());
}

ChapChallenge ChapChallenges::make(std::span<const std::byte, ChapChallenge::random_bytes> random) const noexcept {
  constexpr std::size_t half = ChapChallenge::challenge_bytes / 2;
  ChapChallenge challenge;
  challenge.identifier = std::to_integer<std::uint8_t>(random[0]);
  const std::span<const std::byte> nonce = random.subspan<1, half>();
  std::array<std::byte, chap_response_bytes_max> tag{};
  // Key and nonce have fixed lengths and only half of the digest is shown, so plain SHA-256 is a sound MAC here.
  static_cast<void>(digest(EVP_sha256(), {key_, nonce}, tag));
  std::ranges::copy(nonce, challenge.bytes.begin());
  std::ranges::copy(std::span(tag).first<half>(), challenge.bytes.begin() + half);
  return challenge;
}

bool ChapChallenges::is_ours(std::span<const std::byte> challenge) const noexcept {
  constexpr std::size_t half = ChapChallenge::challenge_bytes / 2;
  if (challenge.size() != ChapChallenge::challenge_bytes) return false;
  std::array<std::byte, chap_response_bytes_max> tag{};
  static_cast<void>(digest(EVP_sha256(), {key_, challenge.first(half)}, tag));
  return equal_in_constant_time(challenge.last(half), std::span(tag).first(half));
}

// ---- the conversation ---------------------------------------------------------------------------------------------

ChapAuthenticator::ChapAuthenticator(ChapPolicy policy, const ChapChallenges& challenges, ChapChallenge challenge)
    : policy_(std::move(policy)), challenges_(challenges), challenge_(challenge) {}

Authenticator::Verdict ChapAuthenticator::end(Verdict verdict, std::string_view reason) noexcept {
  state_ = State::failed;
  reason_ = reason;
  return verdict;
}

Authenticator::Verdict ChapAuthenticator::receive(std::span<const KeyValue> keys, TextBuilder& answers) {
  if (keys.empty()) {
    const bool waived = state_ == State::method && !policy_.required;
    return waived || state_ == State::passed ? Verdict::passed : Verdict::continues;
  }
  switch (state_) {
    case State::method:
      return choose_method(keys, answers);
    case State::algorithm:
      return choose_algorithm(keys, answers);
    case State::response:
      return check_response(keys, answers);
    case State::passed:
      return end(Verdict::malformed, "CHAP keys after the authentication");
    case State::failed:
      break;
  }
  return Verdict::failed;
}

Authenticator::Verdict ChapAuthenticator::choose_method(std::span<const KeyValue> keys, TextBuilder& answers) {
  if (keys.size() != 1 || keys[0].key != "AuthMethod") return end(Verdict::malformed, "CHAP begins with AuthMethod");
  for (std::string_view list = keys[0].value; !list.empty();) {
    const std::string_view method = take_value(list);
    if (method == "CHAP" && !policy_.users.empty()) {
      answers.add("AuthMethod", "CHAP");
      state_ = State::algorithm;
      return Verdict::continues;
    }
    if (method == "None" && !policy_.required) {
      answers.add("AuthMethod", "None");
      state_ = State::passed;
      return Verdict::passed;
    }
  }
  return end(Verdict::failed, "CHAP is required but the initiator does not offer it");
}

bool ChapAuthenticator::is_allowed(ChapAlgorithm algorithm) const noexcept {
  const bool known = std::ranges::find(chap_algorithms_all, algorithm) != chap_algorithms_all.end();
  const bool allowed =
      policy_.algorithms.empty() || std::ranges::find(policy_.algorithms, algorithm) != policy_.algorithms.end();
  // A FIPS build of OpenSSL has no MD5.
  return known && allowed && chap_response(algorithm, 0, dummy_secret, challenge_.bytes).size != 0;
}

Authenticator::Verdict ChapAuthenticator::choose_algorithm(std::span<const KeyValue> keys, TextBuilder& answers) {
  if (keys.size() != 1 || keys[0].key != "CHAP_A") return end(Verdict::malformed, "CHAP_A expected");
  for (std::string_view list = keys[0].value; !list.empty();) {
    const auto number = bytes::decode_number(take_value(list));
    if (!number) return end(Verdict::malformed, "CHAP_A is no list of numbers");
    if (*number > 255 || !is_allowed(static_cast<ChapAlgorithm>(*number))) continue;
    algorithm_ = static_cast<ChapAlgorithm>(*number);
    answers.add("CHAP_A", *number);
    answers.add("CHAP_I", challenge_.identifier);
    answers.add("CHAP_C", bytes::encode_hex(challenge_.bytes));
    state_ = State::response;
    return Verdict::continues;
  }
  return end(Verdict::failed, "no CHAP algorithm in common");
}

Authenticator::Verdict ChapAuthenticator::check_response(std::span<const KeyValue> keys, TextBuilder& answers) {
  Response response;
  for (const KeyValue& pair : keys) {
    std::optional<std::string_view>* value = nullptr;
    if (pair.key == "CHAP_N") value = &response.name;
    if (pair.key == "CHAP_R") value = &response.response;
    if (pair.key == "CHAP_I") value = &response.identifier;
    if (pair.key == "CHAP_C") value = &response.challenge;
    if (value == nullptr || value->has_value()) return end(Verdict::malformed, "CHAP keys out of order or repeated");
    *value = pair.value;
  }
  if (!response.name || !response.response) return end(Verdict::missing, "CHAP_N or CHAP_R missing");
  if (response.identifier.has_value() != response.challenge.has_value())
    return end(Verdict::missing, "CHAP_I and CHAP_C come together");
  return verify(response, answers);
}

const ChapUser* ChapAuthenticator::find_user(std::string_view name) const noexcept {
  const ChapUser* found = nullptr;
  // Not left at the first match: the time would tell where in the list a name stands.
  for (const ChapUser& user : policy_.users) {
    if (equal_in_constant_time(std::as_bytes(std::span(user.credential.username)), std::as_bytes(std::span(name))))
      found = &user;
  }
  return found;
}

Authenticator::Verdict ChapAuthenticator::verify(const Response& response, TextBuilder& answers) {
  claimed_username_ = *response.name;
  std::array<std::byte, chap_challenge_bytes_max> memory{};
  const auto size = bytes::decode_binary(*response.response, memory);
  if (!size) return end(Verdict::malformed, "CHAP_R is neither hexadecimal nor base64");
  const std::span<const std::byte> theirs = std::span(memory).first(*size);
  const ChapUser* const user = find_user(*response.name);
  const ChapResponse expected = chap_response(
      algorithm_, challenge_.identifier, user == nullptr ? dummy_secret : user->credential.secret, challenge_.bytes);
  // Both are looked at before either decides.
  const bool is_right = expected.size != 0 && equal_in_constant_time(expected.view(), theirs);
  if (user == nullptr) return end(Verdict::failed, "CHAP user unknown");
  if (!is_right) return end(Verdict::failed, "CHAP secret wrong");
  if (response.challenge) {
    const Verdict verdict = prove(*user, response, theirs, answers);
    if (verdict != Verdict::passed) return verdict;
  }
  username_ = claimed_username_;
  state_ = State::passed;
  return Verdict::passed;
}

/// Mutual authentication: answers their challenge, unless it was ours (RFC 7143 9.2.1).
Authenticator::Verdict ChapAuthenticator::prove(const ChapUser& user, const Response& response,
                                                std::span<const std::byte> their_response, TextBuilder& answers) {
  std::array<std::byte, chap_challenge_bytes_max> memory{};
  const auto size = bytes::decode_binary(*response.challenge, memory);
  const auto identifier = bytes::decode_number(*response.identifier);
  if (!size || !identifier || *identifier > 255) return end(Verdict::malformed, "CHAP_I or CHAP_C is malformed");
  const std::span<const std::byte> challenge = std::span(memory).first(*size);
  if (challenges_.is_ours(challenge)) return end(Verdict::failed, "CHAP challenge reflected");
  if (!user.mutual) return end(Verdict::failed, "mutual CHAP asked for but not configured");
  const std::span<const std::byte> our_secret = std::as_bytes(std::span(user.mutual->secret));
  if (equal_in_constant_time(our_secret, std::as_bytes(std::span(user.credential.secret))))
    return end(Verdict::failed, "CHAP secrets of both directions are the same");
  const ChapResponse ours =
      chap_response(algorithm_, static_cast<std::uint8_t>(*identifier), user.mutual->secret, challenge);
  if (ours.size == 0 || equal_in_constant_time(ours.view(), their_response))
    return end(Verdict::failed, "CHAP response reflected");
  answers.add("CHAP_N", user.mutual->username);
  answers.add("CHAP_R", bytes::encode_hex(ours.view()));
  return Verdict::passed;
}

}  // namespace lunaris::iscsi
