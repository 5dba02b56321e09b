// Each 48-byte header (and AHS) as a request and as a response. What decodes must encode to a header that decodes to
// the same header again.
#include <algorithm>
#include <array>

#include "protocol/bytes/ensure.h"
#include "protocol/iscsi/codec.h"
#include "tests/fuzz/fuzz_target.h"

namespace lunaris::fuzz {

namespace {

using bytes::ensure;
using Header = std::array<std::byte, iscsi::bhs_bytes>;

template <class Decode, class Pdu>
void round_trip(const Decode& decode, const Pdu& pdu) {
  Header first{};
  Header second{};
  encode(pdu, iscsi::BhsSpan{first});
  const auto again = decode(first);
  ensure(std::holds_alternative<Pdu>(again));
  encode(std::get<Pdu>(again), iscsi::BhsSpan{second});
  ensure(first == second);
}

}  // namespace

void fuzz_one(std::span<const std::byte> input) {
  if (input.size() < iscsi::bhs_bytes) return;
  const iscsi::BhsView bhs(input.first(iscsi::bhs_bytes));
  const auto rest = input.subspan(iscsi::bhs_bytes);
  const auto ahs = rest.first(std::min<std::size_t>(rest.size(), iscsi::peek_ahs_length(bhs)));

  std::visit(iscsi::Overloaded{[](const iscsi::Malformed& malformed) { ensure(!malformed.what.empty()); },
                               [](const iscsi::ScsiCommand& command) {
                                 std::array<std::uint8_t, iscsi::ScsiCommand::cdb_bytes_max> cdb{};
                                 ensure(command.copy_cdb(cdb) <= cdb.size());
                                 std::array<std::byte, iscsi::ahs_bytes_max> memory{};
                                 const std::size_t size = encode_ahs(command, memory);
                                 round_trip(
                                     [&](const Header& header) {
                                       return iscsi::decode_request(header, std::span(memory).first(size));
                                     },
                                     command);
                               },
                               [](const auto& pdu) {
                                 round_trip([](const Header& header) { return iscsi::decode_request(header, {}); },
                                            pdu);
                               }},
             iscsi::decode_request(bhs, ahs));
  std::visit(iscsi::Overloaded{[](const iscsi::Malformed& malformed) { ensure(!malformed.what.empty()); },
                               [](const auto& pdu) {
                                 round_trip([](const Header& header) { return iscsi::decode_response(header); }, pdu);
                               }},
             iscsi::decode_response(bhs));
}

}  // namespace lunaris::fuzz
