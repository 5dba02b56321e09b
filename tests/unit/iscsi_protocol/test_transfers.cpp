// WriteTransfer and ReadTransfer: rule by rule, and whole random transfers checked byte for byte.
#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <random>
#include <vector>

#include "protocol/iscsi/codec.h"
#include "protocol/iscsi/read_transfer.h"
#include "protocol/iscsi/write_transfer.h"

namespace lunaris::iscsi {
namespace {

ScsiCommand write_command(std::uint32_t expected, std::uint32_t immediate = 0, bool final_bit = true) {
  ScsiCommand command;
  command.write = true;
  command.final_bit = final_bit;
  command.expected_data_transfer_length = expected;
  command.data_segment_length = immediate;
  return command;
}

DataOut piece(std::uint32_t tag, std::uint32_t data_sn, std::uint32_t offset, std::uint32_t length, bool final_bit) {
  DataOut data;
  data.target_transfer_tag = tag;
  data.data_sn = SerialNumber(data_sn);
  data.buffer_offset = offset;
  data.data_segment_length = length;
  data.final_bit = final_bit;
  return data;
}

WriteRules open_rules() {
  return {.initial_r2t = false,
          .immediate_data = true,
          .max_burst_length = 4096,
          .first_burst_length = 2048,
          .max_outstanding_r2t = 2};
}

TEST_CASE("immediate data may be all there is", "[write]") {
  WriteTransfer transfer;
  CHECK(transfer.start(open_rules(), write_command(512, 512)) == WriteFault::none);
  CHECK(transfer.is_complete());
  transfer.authorize(512);
  CHECK_FALSE(transfer.next_r2t(1).has_value());
}

TEST_CASE("unsolicited data against the rules is refused", "[write][RFC7143 11.3.4][SN-3]") {
  WriteRules rules = open_rules();
  WriteTransfer transfer;
  CHECK(transfer.start(rules, write_command(4096, 2049)) == WriteFault::incorrect_amount_of_data);
  CHECK(transfer.start(rules, write_command(100, 101)) == WriteFault::incorrect_amount_of_data);
  CHECK(transfer.start(rules, write_command(2048, 2048, false)) == WriteFault::incorrect_amount_of_data);
  rules.immediate_data = false;
  CHECK(transfer.start(rules, write_command(4096, 1)) == WriteFault::unexpected_unsolicited_data);
  rules.initial_r2t = true;
  CHECK(transfer.start(rules, write_command(4096, 0, false)) == WriteFault::unexpected_unsolicited_data);
  CHECK(transfer.start(rules, write_command(4096)) == WriteFault::none);
  CHECK(transfer.data_out(piece(reserved_tag, 0, 0, 512, true)) == WriteFault::unexpected_unsolicited_data);
  CHECK(transfer.has_failed());
}

TEST_CASE("R2Ts wait for the unsolicited data and start where it ends", "[write][RFC7143 4.2.5]") {
  WriteTransfer transfer;
  REQUIRE(transfer.start(open_rules(), write_command(10000, 1000, false)) == WriteFault::none);
  transfer.authorize(10000);
  CHECK(transfer.is_unsolicited_open());
  CHECK(transfer.unsolicited_end() == 2048);
  CHECK_FALSE(transfer.next_r2t(1).has_value());
  CHECK(transfer.data_out(piece(reserved_tag, 0, 1000, 500, false)) == WriteFault::none);
  CHECK(transfer.data_out(piece(reserved_tag, 1, 1500, 548, true)) == WriteFault::none);
  const auto r2t = transfer.next_r2t(1);
  REQUIRE(r2t.has_value());
  CHECK(r2t->buffer_offset == 2048);
  CHECK(r2t->desired_data_transfer_length == 4096);
  CHECK(r2t->r2t_sn == SerialNumber(0));
  CHECK(r2t->target_transfer_tag == 1);
}

TEST_CASE("an unsolicited sequence must be exactly as long as promised", "[write][SN-3]") {
  const auto fault_of = [](const DataOut& data) {
    WriteTransfer transfer;
    REQUIRE(transfer.start(open_rules(), write_command(10000, 1000, false)) == WriteFault::none);
    return transfer.data_out(data);
  };
  CHECK(fault_of(piece(reserved_tag, 0, 1000, 1048, true)) == WriteFault::none);
  CHECK(fault_of(piece(reserved_tag, 0, 1000, 1047, true)) == WriteFault::incorrect_amount_of_data);
  CHECK(fault_of(piece(reserved_tag, 0, 1000, 1049, true)) == WriteFault::incorrect_amount_of_data);
  CHECK(fault_of(piece(reserved_tag, 0, 1000, 1048, false)) == WriteFault::protocol_error);
  CHECK(fault_of(piece(reserved_tag, 1, 1000, 10, false)) == WriteFault::protocol_error);
  CHECK(fault_of(piece(reserved_tag, 0, 1001, 10, false)) == WriteFault::protocol_error);
  CHECK(fault_of(piece(5, 0, 1000, 10, false)) == WriteFault::invalid_field);
}

TEST_CASE("at most MaxOutstandingR2T are out and none beyond claimed memory", "[write][SN-3]") {
  WriteTransfer transfer;
  REQUIRE(transfer.start(open_rules(), write_command(100000)) == WriteFault::none);
  CHECK_FALSE(transfer.next_r2t(1).has_value());
  transfer.authorize(5000);
  CHECK(transfer.next_r2t(1)->desired_data_transfer_length == 4096);
  CHECK(transfer.next_r2t(2)->desired_data_transfer_length == 904);
  CHECK_FALSE(transfer.next_r2t(3).has_value());
  transfer.authorize(100000);
  CHECK_FALSE(transfer.next_r2t(3).has_value());
  CHECK(transfer.data_out(piece(1, 0, 0, 4096, true)) == WriteFault::none);
  CHECK(transfer.next_r2t(3)->buffer_offset == 5000);
  CHECK(transfer.next_r2t_sn() == SerialNumber(3));
}

TEST_CASE("solicited data is checked against the R2T it answers", "[write][RFC7143 11.7][SN-2]") {
  const auto fault_of = [](const DataOut& data) {
    WriteTransfer transfer;
    REQUIRE(transfer.start(open_rules(), write_command(8192)) == WriteFault::none);
    transfer.authorize(8192);
    REQUIRE(transfer.next_r2t(1).has_value());
    REQUIRE(transfer.next_r2t(2).has_value());
    REQUIRE(transfer.data_out(piece(1, 0, 0, 1024, false)) == WriteFault::none);
    const WriteFault fault = transfer.data_out(data);
    // After a fault nothing is accepted any more, not even what would have been right.
    if (fault != WriteFault::none) {
      CHECK(transfer.data_out(piece(1, 1, 1024, 1024, false)) == WriteFault::protocol_error);
      CHECK_FALSE(transfer.next_r2t(9).has_value());
      CHECK(transfer.received() <= 4096);
    }
    return fault;
  };
  CHECK(fault_of(piece(1, 1, 1024, 3072, true)) == WriteFault::none);
  CHECK(fault_of(piece(1, 0, 1024, 1024, false)) == WriteFault::protocol_error);  // DataSN repeated
  CHECK(fault_of(piece(1, 2, 1024, 1024, false)) == WriteFault::protocol_error);  // DataSN hole
  CHECK(fault_of(piece(1, 1, 512, 1024, false)) == WriteFault::protocol_error);   // overlap
  CHECK(fault_of(piece(1, 1, 2048, 1024, false)) == WriteFault::protocol_error);  // hole
  CHECK(fault_of(piece(1, 1, 1024, 3073, true)) == WriteFault::protocol_error);   // more than asked for
  CHECK(fault_of(piece(1, 1, 1024, data_segment_bytes_max, true)) == WriteFault::protocol_error);
  CHECK(fault_of(piece(1, 1, 1024, 1024, true)) == WriteFault::protocol_error);   // F too early
  CHECK(fault_of(piece(1, 1, 1024, 3072, false)) == WriteFault::protocol_error);  // F missing
  CHECK(fault_of(piece(2, 1, 1024, 1024, false)) == WriteFault::invalid_field);   // the later R2T first
  CHECK(fault_of(piece(3, 1, 1024, 1024, false)) == WriteFault::invalid_field);   // made up
  CHECK(fault_of(piece(1, 1, 0xfffffff0, 0x100, false)) == WriteFault::protocol_error);
}

TEST_CASE("Data-Out for a command that does not write is refused", "[write][SN-2]") {
  WriteTransfer transfer;
  ScsiCommand read;
  read.read = true;
  REQUIRE(transfer.start(open_rules(), read) == WriteFault::none);
  CHECK(transfer.data_out(piece(1, 0, 0, 512, true)) == WriteFault::invalid_field);
}

/// An initiator that does everything right, with random sizes.
class Initiator {
 public:
  Initiator(std::mt19937& random, WriteRules rules, std::uint32_t segment_max)
      : random_(random), rules_(rules), segment_max_(segment_max) {}

  ScsiCommand command(std::uint32_t expected) {
    const std::uint32_t first = std::min(expected, rules_.first_burst_length);
    const std::uint32_t immediate =
        rules_.immediate_data && random_() % 2 == 0 ? random_() % (std::min(first, segment_max_) + 1) : 0;
    const bool more = !rules_.initial_r2t && immediate < first && random_() % 2 == 0;
    if (more) queue(reserved_tag, immediate, first);
    return write_command(expected, immediate, !more);
  }
  void on(const R2t& r2t) {
    queue(r2t.target_transfer_tag, r2t.buffer_offset, r2t.buffer_offset + r2t.desired_data_transfer_length);
  }
  std::deque<DataOut> out;

 private:
  void queue(std::uint32_t tag, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t data_sn = 0; from < to; ++data_sn) {
      const std::uint32_t length = std::min(to - from, 1 + static_cast<std::uint32_t>(random_() % segment_max_));
      out.push_back(piece(tag, data_sn, from, length, from + length == to));
      from += length;
    }
  }
  std::mt19937& random_;
  WriteRules rules_;
  std::uint32_t segment_max_;
};

TEST_CASE("a correct initiator's write always completes with every byte once", "[write][property]") {
  const auto seed = GENERATE(range(1u, 9u));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const std::uint32_t burst = 512 + random() % 5000;
    const WriteRules rules{.initial_r2t = random() % 2 == 0,
                           .immediate_data = random() % 2 == 0,
                           .max_burst_length = burst,
                           .first_burst_length = 512 + static_cast<std::uint32_t>(random() % (burst - 511)),
                           .max_outstanding_r2t = 1 + static_cast<std::uint32_t>(random() % 16)};
    const std::uint32_t expected = random() % 60000;
    Initiator initiator(random, rules, 512 + random() % 2048);
    WriteTransfer transfer;
    const ScsiCommand command = initiator.command(expected);
    REQUIRE(transfer.start(rules, command) == WriteFault::none);
    std::vector<unsigned> times(expected, 0);
    std::fill_n(times.begin(), command.data_segment_length, 1u);
    std::uint32_t claimed = 0;
    std::uint32_t tag = 0;
    unsigned turns = 0;
    while (!transfer.is_complete()) {
      REQUIRE(++turns < 10000);
      if (random() % 2 == 0) transfer.authorize(claimed += 1 + random() % 9000);
      while (const auto r2t = transfer.next_r2t(++tag)) {
        REQUIRE(r2t->desired_data_transfer_length <= rules.max_burst_length);
        REQUIRE(r2t->buffer_offset + r2t->desired_data_transfer_length <= std::min(claimed, expected));
        initiator.on(*r2t);
      }
      if (initiator.out.empty()) continue;
      const DataOut data = initiator.out.front();
      initiator.out.pop_front();
      REQUIRE(transfer.data_out(data) == WriteFault::none);
      for (std::uint32_t at = 0; at < data.data_segment_length; ++at) ++times[data.buffer_offset + at];
    }
    REQUIRE(std::ranges::all_of(times, [](unsigned count) { return count == 1; }));
    REQUIRE(initiator.out.empty());
    REQUIRE_FALSE(transfer.is_awaiting_data());
  }
}

/// What a target has promised to take, kept naively: sequences in order, each with its tag and end.
struct Promises {
  struct Sequence {
    std::uint32_t tag, end;
  };
  std::deque<Sequence> sequences;
  std::uint32_t received = 0;
  std::uint32_t data_sn = 0;

  bool accepts(const DataOut& data) {
    if (sequences.empty()) return false;
    const Sequence now = sequences.front();
    const std::uint64_t end = std::uint64_t{data.buffer_offset} + data.data_segment_length;
    if (data.target_transfer_tag != now.tag || data.data_sn != SerialNumber(data_sn) || data.buffer_offset != received)
      return false;
    if (end > now.end || data.final_bit != (end == now.end)) return false;
    received = static_cast<std::uint32_t>(end);
    ++data_sn;
    if (data.final_bit) sequences.pop_front(), data_sn = 0;
    return true;
  }
};

TEST_CASE("whatever arrives is accepted exactly when it was asked for", "[write][property][SN-2]") {
  const auto seed = GENERATE(range(1u, 5u));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto usually = [&](std::uint32_t right, std::uint32_t wrong) { return random() % 16 != 0 ? right : wrong; };
  unsigned accepted = 0;
  unsigned refused = 0;
  for (int round = 0; round < 2000; ++round) {
    const ScsiCommand command = write_command(random() % 30000, random() % 3 * 700, random() % 2 == 0);
    WriteTransfer transfer;
    if (transfer.start(open_rules(), command) != WriteFault::none) continue;
    transfer.authorize(command.expected_data_transfer_length);
    Promises promises{.sequences = {}, .received = transfer.received()};
    if (transfer.is_unsolicited_open()) promises.sequences.push_back({reserved_tag, transfer.unsolicited_end()});
    for (std::uint32_t tag = 0; !transfer.is_complete() && !transfer.has_failed();) {
      while (const auto r2t = transfer.next_r2t(++tag))
        promises.sequences.push_back({tag, r2t->buffer_offset + r2t->desired_data_transfer_length});
      REQUIRE_FALSE(promises.sequences.empty());
      const auto now = promises.sequences.front();
      const std::uint32_t left = now.end - promises.received;
      const std::uint32_t length = usually(1 + static_cast<std::uint32_t>(random() % left), left + random() % 2);
      const bool final_bit = usually(length == left ? 1 : 0, random() % 2) != 0;
      const DataOut data = piece(usually(now.tag, now.tag + 1), usually(promises.data_sn, promises.data_sn + 1),
                                 usually(promises.received, static_cast<std::uint32_t>(random())), length, final_bit);
      const bool right = promises.accepts(data);
      REQUIRE((transfer.data_out(data) == WriteFault::none) == right);
      ++(right ? accepted : refused);
      if (right) REQUIRE(transfer.received() == promises.received);
      REQUIRE(transfer.received() <= transfer.expected_length());
    }
  }
  CHECK(accepted > 1000);
  CHECK(refused > 500);
}

TEST_CASE("a read is cut by segment and burst with F at the end of each burst", "[read][RFC7143 11.7.1]") {
  ReadTransfer transfer({.max_data_segment_length = 1000, .max_burst_length = 2500}, 6000);
  std::vector<std::pair<std::uint32_t, bool>> pieces;
  while (const auto data_in = transfer.next(6000, ReadEnding::last)) {
    pieces.emplace_back(data_in->data_segment_length, data_in->final_bit);
    CHECK_FALSE(data_in->has_status);
  }
  CHECK(pieces ==
        std::vector<std::pair<std::uint32_t, bool>>{
            {1000, false}, {1000, false}, {500, true}, {1000, false}, {1000, false}, {500, true}, {1000, true}});
  CHECK(transfer.next_data_sn() == SerialNumber(7));
}

TEST_CASE("good status rides on the last PDU with its residual", "[read][RFC7143 11.7.3]") {
  ReadTransfer underflow({.max_data_segment_length = 512, .max_burst_length = 4096}, 2048);
  CHECK_FALSE(underflow.next(600, ReadEnding::last_with_good)->has_status);
  const auto last = underflow.next(600, ReadEnding::last_with_good);
  CHECK(last->has_status);
  CHECK(last->final_bit);
  CHECK(last->status == 0);
  CHECK(last->residual == Residual{Residual::Kind::underflow, 1448});
  CHECK(underflow.status_sent());

  ReadTransfer overflow({.max_data_segment_length = 512, .max_burst_length = 4096}, 512);
  const auto only = overflow.next(4096, ReadEnding::last_with_good);
  CHECK(only->data_segment_length == 512);
  CHECK(only->residual == Residual{Residual::Kind::overflow, 3584});
  CHECK_FALSE(overflow.next(4096, ReadEnding::last_with_good).has_value());
}

TEST_CASE("without data left there is no PDU for the status to ride on", "[read]") {
  ReadTransfer transfer({}, 512);
  CHECK_FALSE(transfer.next(0, ReadEnding::last_with_good).has_value());
  CHECK_FALSE(transfer.status_sent());
  CHECK(transfer.next(512, ReadEnding::more_follows)->final_bit);
  CHECK_FALSE(transfer.next(512, ReadEnding::last_with_good).has_value());
  CHECK_FALSE(transfer.status_sent());
}

TEST_CASE("random reads arrive whole and within the limits", "[read][property]") {
  const auto seed = GENERATE(range(1u, 9u));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    const ReadRules rules{.max_data_segment_length = 512 + static_cast<std::uint32_t>(random() % 9000),
                          .max_burst_length = 512 + static_cast<std::uint32_t>(random() % 9000)};
    const std::uint32_t expected = random() % 50000;
    const std::uint64_t actual = random() % 50000;
    const bool with_status = random() % 2 == 0;
    ReadTransfer transfer(rules, expected);
    std::uint64_t available = 0;
    std::uint32_t offset = 0;
    std::uint32_t burst = 0;
    std::uint32_t data_sn = 0;
    bool ended = false;
    do {
      available = std::min(actual, available + 1 + random() % 20000);
      const ReadEnding ending = available < actual ? ReadEnding::more_follows
                                : with_status      ? ReadEnding::last_with_good
                                                   : ReadEnding::last;
      while (const auto data_in = transfer.next(available, ending)) {
        REQUIRE_FALSE(ended);
        REQUIRE(data_in->buffer_offset == offset);
        REQUIRE(data_in->data_sn == SerialNumber(data_sn++));
        REQUIRE(data_in->data_segment_length > 0);
        REQUIRE(data_in->data_segment_length <= rules.max_data_segment_length);
        offset += data_in->data_segment_length;
        burst += data_in->data_segment_length;
        REQUIRE(burst <= rules.max_burst_length);
        if (data_in->final_bit) burst = 0;
        ended = data_in->has_status;
        if (ended) REQUIRE(data_in->residual == residual_of(expected, actual));
      }
    } while (available < actual);
    REQUIRE(offset == std::min<std::uint64_t>(expected, actual));
    REQUIRE(burst == 0);
    REQUIRE(ended == transfer.status_sent());
    if (with_status && actual > 0 && actual <= expected) REQUIRE(ended);
  }
}

}  // namespace
}  // namespace lunaris::iscsi
