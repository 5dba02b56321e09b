// PduReader on any stream, under any limits, split anywhere, with every way to take the data. The same stream read in
// one piece must give the same events. Input: one byte of limits and choices, one byte of split size, the stream.
#include <algorithm>
#include <array>
#include <vector>

#include "protocol/bytes/ensure.h"
#include "protocol/iscsi/pdu_reader.h"
#include "tests/fuzz/fuzz_target.h"

namespace lunaris::fuzz {

namespace {

using bytes::ensure;
using iscsi::PduReader;

struct Seen {
  PduReader::Event event;
  std::uint32_t data_length;
  std::uint32_t data_crc;
  bool operator==(const Seen&) const = default;
};

/// Reads the whole stream in pieces of `piece` bytes; small payloads in place, others placed (in `parts` parts).
std::vector<Seen> read_all(std::span<const std::byte> stream, iscsi::ReaderLimits limits, std::size_t piece,
                           unsigned parts, bool discard) {
  PduReader reader(limits);
  std::vector<Seen> seen;
  std::vector<std::byte> memory;
  std::vector<std::byte> data;
  const auto take_data = [&] {
    data.clear();
    if (discard) return reader.discard();
    memory.resize(reader.data_length());
    if (parts == 0 && reader.is_whole()) {
      const auto in_place = reader.use_in_place();
      std::ranges::copy(in_place, memory.begin());
      return;
    }
    std::array<std::span<std::byte>, 3> destinations;
    const std::size_t third = parts > 1 ? memory.size() / 3 : 0;
    destinations[0] = std::span(memory).first(third);
    destinations[1] = std::span(memory).subspan(third, third);
    destinations[2] = std::span(memory).subspan(2 * third);
    reader.place(destinations);
  };
  for (;;) {
    for (auto event = reader.next(); event != PduReader::Event::need_input; event = reader.next()) {
      const bool is_end = event == PduReader::Event::complete || event == PduReader::Event::data_digest_error;
      const std::uint32_t crc = is_end && !discard && reader.data_length() > 0 ? bytes::crc32c(memory) : 0;
      seen.push_back({event, reader.data_length(), crc});
      if (event == PduReader::Event::header && reader.data_length() > 0) take_data();
      const bool fatal = event == PduReader::Event::header_digest_error || event == PduReader::Event::data_too_long ||
                         event == PduReader::Event::ahs_too_long;
      if (fatal) return seen;
    }
    ensure(reader.unread().empty());
    if (stream.empty()) return seen;
    std::size_t left = std::min(piece, stream.size());
    while (left > 0 && reader.missing_bytes() > 0) {
      const auto hole = reader.missing().front();
      const std::size_t count = std::min(left, hole.size());
      std::ranges::copy(stream.first(count), hole.begin());
      reader.direct_filled(count);
      stream = stream.subspan(count);
      left -= count;
    }
    reader.feed(stream.first(left));
    stream = stream.subspan(left);
  }
}

}  // namespace

void fuzz_one(std::span<const std::byte> input) {
  if (input.size() < 2) return;
  const auto choices = std::to_integer<unsigned>(input[0]);
  const std::size_t piece = 1 + std::to_integer<std::size_t>(input[1]);
  iscsi::ReaderLimits limits;
  limits.header_digest = (choices & 1) != 0;
  limits.data_digest = (choices & 2) != 0;
  limits.max_recv_data_segment_length = (choices & 4) != 0 ? 512 : 65536;
  limits.ahs_length_max = (choices & 8) != 0 ? 64 : iscsi::ahs_bytes_max;
  const bool discard = (choices & 16) != 0;
  const auto stream = input.subspan(2);
  const auto split = read_all(stream, limits, piece, choices >> 5 & 3, discard);
  const auto whole = read_all(stream, limits, std::max<std::size_t>(stream.size(), 1), 0, discard);
  ensure(split == whole);
}

}  // namespace lunaris::fuzz
