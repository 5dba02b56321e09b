// The stream walker. One state per part of a PDU; every length is added up and compared before it is used.
#include "protocol/iscsi/pdu_reader.h"

#include <algorithm>

#include "protocol/bytes/ensure.h"

namespace lunaris::iscsi {

namespace {

using bytes::ensure;

/// Digests travel least significant byte first (RFC 7143 13.1 and appendix A.4).
std::uint32_t read_digest(std::span<const std::byte> bytes) noexcept {
  std::uint32_t value = 0;
  for (std::size_t index = digest_bytes; index-- > 0;)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[index]);
  return value;
}

}  // namespace

void PduReader::feed(std::span<const std::byte> chunk) noexcept {
  ensure(input_.empty());
  // Bytes of the stream must not overtake those that place() still waits for.
  ensure(chunk.empty() || missing_bytes() == 0);
  input_ = chunk;
}

std::span<const std::byte> PduReader::take(std::size_t count) noexcept {
  const auto taken = input_.first(count);
  input_ = input_.subspan(count);
  return taken;
}

PduReader::Event PduReader::next() noexcept {
  ensure(state_ != State::decide || data_length_ == 0);
  if (state_ == State::failed) return failure_;
  if (state_ == State::header) return gather_header() ? check_header() : Event::need_input;
  if (state_ == State::decide) begin_data(Sink::none);
  if (state_ == State::data && !consume_data()) return Event::need_input;
  const std::size_t wanted = std::min(trailer_need_ - trailer_have_, input_.size());
  std::ranges::copy(take(wanted), trailer_.begin() + static_cast<std::ptrdiff_t>(trailer_have_));
  trailer_have_ += wanted;
  return trailer_have_ < trailer_need_ ? Event::need_input : finish_pdu();
}

/// Collects BHS, AHS and header digest; true when all of them are here or what is here is already too much.
bool PduReader::gather_header() noexcept {
  for (;;) {
    std::size_t need = bhs_bytes;
    if (header_have_ >= bhs_bytes) {
      ahs_length_ = peek_ahs_length(header());
      if (ahs_length_ > limits_.ahs_length_max) return true;
      need += ahs_length_ + (limits_.header_digest ? digest_bytes : 0);
      if (header_have_ == need) return true;
    }
    if (input_.empty()) return false;
    const auto piece = take(std::min(need - header_have_, input_.size()));
    std::ranges::copy(piece, header_.begin() + static_cast<std::ptrdiff_t>(header_have_));
    header_have_ += piece.size();
  }
}

PduReader::Event PduReader::check_header() noexcept {
  // With a digest, an AHS length over the limit may be a damaged one; either way it is fatal.
  if (ahs_length_ > limits_.ahs_length_max) return fail(Event::ahs_too_long);
  const std::size_t covered = bhs_bytes + ahs_length_;
  if (limits_.header_digest) {
    const std::span<const std::byte> bytes(header_);
    if (bytes::crc32c(bytes.first(covered)) != read_digest(bytes.subspan(covered, digest_bytes)))
      return fail(Event::header_digest_error);
  }
  header_have_ = 0;
  data_length_ = peek_data_segment_length(header());
  data_left_ = data_length_;
  if (data_length_ > limits_.max_recv_data_segment_length) return fail(Event::data_too_long);
  // No data segment, no data digest (RFC 7143 11.2.3). The limits in force at the header hold for the whole PDU.
  digest_expected_ = limits_.data_digest && data_length_ > 0;
  trailer_have_ = 0;
  trailer_need_ = padding_bytes(data_length_) + (digest_expected_ ? digest_bytes : 0);
  data_crc_.reset();
  state_ = State::decide;
  return Event::header;
}

void PduReader::begin_data(Sink sink) noexcept {
  ensure(state_ == State::decide);
  sink_ = sink;
  state_ = State::data;
}

std::span<const std::byte> PduReader::use_in_place() noexcept {
  ensure(is_whole());
  begin_data(Sink::in_place);
  const auto data = take(data_length_);
  account(data);
  return data;
}

void PduReader::place(std::span<const std::span<std::byte>> destinations) noexcept {
  ensure(destinations.size() <= destinations_max);
  std::size_t total = 0;
  for (const auto destination : destinations) total += destination.size();
  ensure(total == data_length_);
  begin_data(Sink::memory);
  std::ranges::copy(destinations, destinations_.begin());
  destination_first_ = 0;
  destination_end_ = destinations.size();
  advance_destinations(0);
  static_cast<void>(consume_data());
}

void PduReader::place(std::span<std::byte> destination) noexcept {
  const std::array<std::span<std::byte>, 1> one{destination};
  place(one);
}

void PduReader::discard() noexcept {
  begin_data(Sink::discard);
}

/// Moves input to where it belongs; true when the data segment is complete.
bool PduReader::consume_data() noexcept {
  while (data_left_ > 0 && !input_.empty()) {
    std::size_t count = std::min<std::size_t>(data_left_, input_.size());
    if (sink_ == Sink::memory) count = std::min(count, destinations_[destination_first_].size());
    const auto piece = take(count);
    if (sink_ == Sink::memory) {
      std::ranges::copy(piece, destinations_[destination_first_].begin());
      advance_destinations(count);
    }
    account(piece);
  }
  if (data_left_ > 0) return false;
  state_ = State::trailer;
  return true;
}

void PduReader::account(std::span<const std::byte> data) noexcept {
  if (digest_expected_) data_crc_.update(data);
  data_left_ -= static_cast<std::uint32_t>(data.size());
}

/// `count` bytes of the first destination are filled; steps over full (and empty) ones.
void PduReader::advance_destinations(std::size_t count) noexcept {
  auto& first = destinations_[destination_first_];
  first = first.subspan(count);
  while (destination_first_ < destination_end_ && destinations_[destination_first_].empty()) ++destination_first_;
}

std::span<const std::span<std::byte>> PduReader::missing() const noexcept {
  if (state_ != State::data || sink_ != Sink::memory) return {};
  return std::span(destinations_).subspan(destination_first_, destination_end_ - destination_first_);
}

std::size_t PduReader::missing_bytes() const noexcept {
  return state_ == State::data && sink_ == Sink::memory ? data_left_ : 0;
}

void PduReader::direct_filled(std::size_t count) noexcept {
  ensure(count <= missing_bytes() && input_.empty());
  while (count > 0) {
    const auto& destination = destinations_[destination_first_];
    const std::size_t part = std::min(count, destination.size());
    account(destination.first(part));
    advance_destinations(part);
    count -= part;
  }
  // Room for the trailer and the next PDUs in the same read.
  if (state_ == State::data && data_left_ == 0) state_ = State::trailer;
}

PduReader::Event PduReader::finish_pdu() noexcept {
  state_ = State::header;
  sink_ = Sink::none;
  if (!digest_expected_) return Event::complete;
  // The digest covers the padding as well (RFC 7143 11.2.3).
  const std::span<const std::byte> trailer(trailer_);
  const std::size_t padding = padding_bytes(data_length_);
  data_crc_.update(trailer.first(padding));
  const bool right = data_crc_.value() == read_digest(trailer.subspan(padding, digest_bytes));
  return right ? Event::complete : Event::data_digest_error;
}

PduReader::Event PduReader::fail(Event event) noexcept {
  state_ = State::failed;
  failure_ = event;
  return event;
}

std::span<const std::byte> PduReader::ahs() const noexcept {
  return std::span<const std::byte>(header_).subspan(bhs_bytes, ahs_length_);
}

bool PduReader::is_at_boundary() const noexcept {
  return state_ == State::header && header_have_ == 0;
}

}  // namespace lunaris::iscsi
