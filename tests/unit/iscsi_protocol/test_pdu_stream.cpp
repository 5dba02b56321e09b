// PduReader and PduWriter together: what is written is read, wherever the stream is cut and wherever the data goes.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "protocol/iscsi/pdu_reader.h"
#include "protocol/iscsi/pdu_writer.h"

namespace lunaris::iscsi {
namespace {

using Bytes = std::vector<std::byte>;
using Event = PduReader::Event;

Bytes pattern(std::size_t size, unsigned start = 1) {
  Bytes bytes(size);
  for (std::size_t index = 0; index < size; ++index) bytes[index] = static_cast<std::byte>((start + index) % 251);
  return bytes;
}

/// A NOP-Out with `data` in `parts` segments, as bytes.
Bytes wire(std::uint32_t tag, Bytes data, Digests digests = {}, std::size_t parts = 1) {
  ResponseSlot slot;
  std::vector<iovec> payload;
  const std::size_t part = data.size() / parts;
  for (std::size_t index = 0; index < parts; ++index) {
    const std::size_t size = index + 1 < parts ? part : data.size() - part * index;
    payload.push_back({data.data() + part * index, size});
  }
  std::vector<iovec> out(gather_entries(payload.size()));
  out.resize(write_pdu(NopOut{.immediate = true, .initiator_task_tag = tag}, slot, digests, payload, out));
  Bytes bytes;
  for (const iovec& entry : out) {
    const auto* first = static_cast<const std::byte*>(entry.iov_base);
    bytes.insert(bytes.end(), first, first + entry.iov_len);
  }
  return bytes;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

struct Received {
  std::uint32_t tag;
  Bytes data;
  Event event;
  bool operator==(const Received&) const = default;
};

enum class Way { in_place, placed, placed_in_three, discarded };

/// A connection's receiving half, as the session runs it: reads of at most `piece` bytes into missing memory first.
class Receiver {
 public:
  Receiver(ReaderLimits limits, Way way) : reader_(limits), way_(way) {}

  std::vector<Received> receive(std::span<const std::byte> stream, std::size_t piece) {
    for (;;) {
      drain();
      if (fatal_ || stream.empty()) return received_;
      std::size_t left = std::min(piece, stream.size());
      const std::size_t direct = std::min(left, reader_.missing_bytes());
      fill(stream.first(direct));
      reader_.direct_filled(direct);
      left -= direct;
      reader_.feed(stream.subspan(direct, left));
      stream = stream.subspan(direct + left);
    }
  }
  [[nodiscard]] const PduReader& reader() const { return reader_; }

 private:
  void fill(std::span<const std::byte> bytes) {
    for (const auto hole : reader_.missing()) {
      const std::size_t count = std::min(hole.size(), bytes.size());
      std::ranges::copy(bytes.first(count), hole.begin());
      bytes = bytes.subspan(count);
    }
    REQUIRE(bytes.empty());
  }

  void drain() {
    for (Event event = reader_.next(); event != Event::need_input; event = reader_.next()) {
      const bool ended = event == Event::complete || event == Event::data_digest_error;
      if (event == Event::header) {
        begin();
      } else {
        received_.push_back({peek_initiator_task_tag(reader_.header()), data_, event});
      }
      fatal_ = event != Event::header && !ended;
      if (fatal_) return;
    }
    REQUIRE(reader_.unread().empty());
  }

  void begin() {
    data_.assign(reader_.data_length(), std::byte{});
    if (data_.empty()) return;
    if (way_ == Way::discarded) {
      data_.clear();
      reader_.discard();
    } else if (way_ == Way::in_place && reader_.is_whole()) {
      const auto lying = reader_.use_in_place();
      data_.assign(lying.begin(), lying.end());
    } else if (way_ == Way::placed_in_three) {
      const std::size_t third = data_.size() / 3;
      const std::array<std::span<std::byte>, 4> destinations{std::span(data_).first(third), std::span<std::byte>(),
                                                             std::span(data_).subspan(third, third),
                                                             std::span(data_).subspan(2 * third)};
      reader_.place(destinations);
    } else {
      reader_.place(data_);
    }
  }

  PduReader reader_;
  Way way_;
  Bytes data_;
  std::vector<Received> received_;
  bool fatal_ = false;
};

TEST_CASE("PDUs are read back for every cut and digest and destination", "[stream][PDU-1]") {
  const bool header_digest = GENERATE(false, true);
  const bool data_digest = GENERATE(false, true);
  const Way way = GENERATE(Way::in_place, Way::placed, Way::placed_in_three, Way::discarded);
  const Digests digests{header_digest, data_digest};
  const ReaderLimits limits{.header_digest = header_digest, .data_digest = data_digest};
  Bytes stream;
  std::vector<Received> expected;
  std::uint32_t tag = 0;
  for (const std::size_t size : {0u, 1u, 2u, 3u, 4u, 5u, 0u, 40u, 61u}) {
    const Bytes data = pattern(size, ++tag);
    stream = stream + wire(tag, data, digests, size > 3 ? 3 : 1);
    expected.push_back({tag, way == Way::discarded ? Bytes{} : data, Event::complete});
  }
  for (std::size_t piece = 1; piece <= stream.size(); piece += piece < 130 ? 1 : 97) {
    INFO("pieces of " << piece);
    Receiver receiver(limits, way);
    REQUIRE(receiver.receive(stream, piece) == expected);
    REQUIRE(receiver.reader().is_at_boundary());
  }
}

TEST_CASE("a stream may be cut in two anywhere", "[stream][PDU-1]") {
  const Digests digests{true, true};
  const ReaderLimits limits{.header_digest = true, .data_digest = true};
  const Bytes stream = wire(1, pattern(5), digests) + wire(2, {}, digests) + wire(3, pattern(9), digests);
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    Receiver receiver(limits, Way::in_place);
    receiver.receive(std::span(stream).first(cut), 4096);
    const auto received = receiver.receive(std::span(stream).subspan(cut), 4096);
    INFO("cut at " << cut);
    REQUIRE(received.size() == 3);
    REQUIRE(received[2] == Received{3, pattern(9), Event::complete});
  }
}

TEST_CASE("many PDUs come out of one read and small data is used where it lies", "[stream]") {
  Bytes stream;
  for (std::uint32_t tag = 0; tag < 50; ++tag) stream = stream + wire(tag, pattern(6, tag));
  PduReader reader;
  reader.feed(stream);
  for (std::uint32_t tag = 0; tag < 50; ++tag) {
    REQUIRE(reader.next() == Event::header);
    REQUIRE(reader.is_whole());
    const auto data = reader.use_in_place();
    REQUIRE(data.data() >= stream.data());
    REQUIRE(data.data() + data.size() <= stream.data() + stream.size());
    REQUIRE(reader.next() == Event::complete);
  }
  CHECK(reader.next() == Event::need_input);
}

TEST_CASE("a large payload is read straight to its place", "[stream]") {
  const Bytes data = pattern(100000);
  const Bytes stream = wire(1, data, {.header = false, .data = true}) + wire(2, {});
  PduReader reader({.max_recv_data_segment_length = 262144, .data_digest = true});
  reader.feed(std::span(stream).first(1000));
  REQUIRE(reader.next() == Event::header);
  CHECK_FALSE(reader.is_whole());
  Bytes memory(100000);
  reader.place(memory);
  REQUIRE(reader.next() == Event::need_input);
  REQUIRE(reader.missing_bytes() == 100000 - (1000 - bhs_bytes));
  REQUIRE(reader.missing().size() == 1);
  CHECK(reader.missing()[0].data() == memory.data() + 1000 - bhs_bytes);
  const std::size_t direct = reader.missing_bytes();
  std::ranges::copy(std::span(stream).subspan(1000, direct), reader.missing()[0].begin());
  reader.direct_filled(direct);
  reader.feed(std::span(stream).subspan(1000 + direct));
  REQUIRE(reader.next() == Event::complete);
  CHECK(memory == data);
  CHECK(reader.next() == Event::header);
  CHECK(reader.next() == Event::complete);
}

TEST_CASE("a header digest error is fatal", "[stream][RFC7143 7.7][DIG-1]") {
  const Bytes good = wire(1, pattern(5), {.header = true, .data = false});
  for (std::size_t bit = 0; bit < 8 * (bhs_bytes + digest_bytes); ++bit) {
    if (bit / 8 == 4) continue;  // TotalAHSLength: more bytes are awaited before anything can be known
    Bytes damaged = good;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    Receiver receiver({.header_digest = true}, Way::in_place);
    const auto received = receiver.receive(damaged, 4096);
    INFO("bit " << bit);
    REQUIRE(received.size() == 1);
    REQUIRE(received[0].event == Event::header_digest_error);
  }
}

TEST_CASE("a data digest error is told and the next PDU is fine", "[stream][RFC7143 7.8][DIG-1]") {
  const Digests digests{.header = false, .data = true};
  const Bytes good = wire(1, pattern(5), digests);
  const Way way = GENERATE(Way::in_place, Way::placed, Way::discarded);
  for (std::size_t bit = 8 * bhs_bytes; bit < 8 * good.size(); ++bit) {
    Bytes damaged = good;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    Receiver receiver({.data_digest = true}, way);
    const auto received = receiver.receive(damaged + wire(2, {}, digests), 7);
    INFO("bit " << bit);
    REQUIRE(received.size() == 2);
    REQUIRE(received[0].event == Event::data_digest_error);
    REQUIRE(received[1].event == Event::complete);
    REQUIRE(received[1].tag == 2);
  }
}

TEST_CASE("padding that is not zero is accepted without a digest", "[stream]") {
  Bytes stream = wire(1, pattern(5));
  stream.back() = std::byte{0xff};
  CHECK(Receiver({}, Way::in_place).receive(stream, 4096) == std::vector<Received>{{1, pattern(5), Event::complete}});
}

TEST_CASE("a data segment above our limit is fatal before any of it is read", "[stream][PDU-2]") {
  const ReaderLimits limits{.max_recv_data_segment_length = 512};
  CHECK(Receiver(limits, Way::placed).receive(wire(1, pattern(512)), 4096)[0].event == Event::complete);
  for (const std::uint32_t length : {513u, data_segment_bytes_max}) {
    Bytes header = wire(7, {});
    set_data_segment_length(BhsSpan{header.data(), bhs_bytes}, length);
    PduReader reader(limits);
    reader.feed(header);
    CHECK(reader.next() == Event::data_too_long);
    CHECK(peek_initiator_task_tag(reader.header()) == 7);
    CHECK(reader.next() == Event::data_too_long);
  }
}

TEST_CASE("an AHS above the limit is fatal and the largest one is read", "[stream][PDU-2]") {
  Bytes header = wire(7, {});
  header[4] = std::byte{255};
  PduReader strict({.ahs_length_max = 252});
  strict.feed(header);
  CHECK(strict.next() == Event::ahs_too_long);

  const Bytes stream = header + pattern(ahs_bytes_max);
  for (const std::size_t piece : {1u, 13u, 5000u}) {
    PduReader reader;
    std::span<const std::byte> rest(stream);
    Event event = reader.next();
    while (event == Event::need_input && !rest.empty()) {
      const std::size_t count = std::min<std::size_t>(piece, rest.size());
      reader.feed(rest.first(count));
      rest = rest.subspan(count);
      event = reader.next();
    }
    REQUIRE(event == Event::header);
    CHECK(std::ranges::equal(reader.ahs(), pattern(ahs_bytes_max)));
    CHECK(reader.next() == Event::complete);
  }
}

TEST_CASE("new limits hold from the next PDU on", "[stream][PDU-3]") {
  const Bytes stream = wire(1, pattern(4)) + wire(2, pattern(4), {true, true});
  PduReader reader;
  reader.feed(stream);
  REQUIRE(reader.next() == Event::header);
  static_cast<void>(reader.use_in_place());
  REQUIRE(reader.next() == Event::complete);
  // What an initiator sends right behind its last Login Request is here already.
  CHECK(reader.unread().size() == bhs_bytes + 4 + 4 + 4);
  CHECK(reader.is_at_boundary());
  reader.set_limits({.header_digest = true, .data_digest = true});
  REQUIRE(reader.next() == Event::header);
  static_cast<void>(reader.use_in_place());
  CHECK(reader.next() == Event::complete);
}

TEST_CASE("unread bytes can be taken to another reader", "[stream][PDU-3]") {
  const Bytes stream = wire(1, {}) + wire(2, pattern(3));
  PduReader reader;
  reader.feed(stream);
  REQUIRE(reader.next() == Event::header);
  REQUIRE(reader.next() == Event::complete);
  const Bytes rest(reader.unread().begin(), reader.unread().end());
  reader.drop_unread();
  CHECK(Receiver({}, Way::in_place).receive(rest, 4096) == std::vector<Received>{{2, pattern(3), Event::complete}});
}

TEST_CASE("the writer never copies payload and leaves empty segments out", "[stream]") {
  Bytes data = pattern(6);
  ResponseSlot slot;
  const std::array<iovec, 3> payload{iovec{data.data(), 2}, iovec{nullptr, 0}, iovec{data.data() + 2, 4}};
  std::array<iovec, 5> out{};
  const std::size_t entries = write_pdu(NopIn{}, slot, {true, true}, payload, out);
  REQUIRE(entries == 4);
  CHECK(out[0].iov_base == slot.header.data());
  CHECK(out[0].iov_len == bhs_bytes + digest_bytes);
  CHECK(out[1].iov_base == data.data());
  CHECK(out[2].iov_base == data.data() + 2);
  CHECK(out[3].iov_base == slot.trailer.data());
  CHECK(out[3].iov_len == 2 + digest_bytes);
  CHECK(peek_data_segment_length(slot.bhs()) == 6);
}

TEST_CASE("a PDU without data has neither padding nor data digest", "[stream][RFC7143 11.2.3]") {
  ResponseSlot slot;
  std::array<iovec, 2> out{};
  CHECK(write_pdu(NopIn{}, slot, {false, true}, {}, out) == 1);
  CHECK(out[0].iov_len == bhs_bytes);
}

TEST_CASE("a command with an AHS is written and read", "[stream]") {
  const Bytes extension = pattern(16);
  ScsiCommand command;
  command.read = true;
  command.cdb_extension = extension;
  PduSlot slot;
  encode(command, slot.bhs());
  const std::size_t ahs = encode_ahs(command, std::span(slot.header).subspan(bhs_bytes));
  std::array<iovec, 2> out{};
  REQUIRE(gather(slot, ahs, {.header = true, .data = false}, {}, out) == 1);
  PduReader reader({.header_digest = true});
  reader.feed(std::span(slot.header).first(out[0].iov_len));
  REQUIRE(reader.next() == Event::header);
  const auto decoded = decode_request(reader.header(), reader.ahs());
  REQUIRE(std::holds_alternative<ScsiCommand>(decoded));
  CHECK(std::ranges::equal(std::get<ScsiCommand>(decoded).cdb_extension, extension));
}

}  // namespace
}  // namespace lunaris::iscsi
