#include "tests/sim/initiator.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocol/bytes/text_codec.h"
#include "protocol/iscsi/chap.h"

namespace lunaris::sim {

std::vector<std::byte> pattern(std::size_t count, std::uint32_t seed) {
  std::vector<std::byte> bytes(count);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
  for (std::size_t at = 0; at < count; at += sizeof state) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const std::uint64_t word = state ^ state >> 29;
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, count - at));
  }
  return bytes;
}

namespace {

std::vector<std::uint8_t> ten_byte_cdb(std::uint8_t opcode, std::uint32_t block, std::uint16_t blocks) {
  return {opcode,
          0,
          static_cast<std::uint8_t>(block >> 24),
          static_cast<std::uint8_t>(block >> 16),
          static_cast<std::uint8_t>(block >> 8),
          static_cast<std::uint8_t>(block),
          0,
          static_cast<std::uint8_t>(blocks >> 8),
          static_cast<std::uint8_t>(blocks),
          0};
}

}  // namespace

std::vector<std::uint8_t> read_10(std::uint32_t block, std::uint16_t blocks) {
  return ten_byte_cdb(0x28, block, blocks);
}
std::vector<std::uint8_t> write_10(std::uint32_t block, std::uint16_t blocks) {
  return ten_byte_cdb(0x2a, block, blocks);
}

// ---- PDUs ---------------------------------------------------------------------------------------------------------

template <class Pdu>
void Initiator::send_encoded(const Pdu& pdu, std::span<const std::byte> data) {
  iscsi::PduSlot slot;
  iscsi::encode(pdu, slot.bhs());
  std::size_t ahs = 0;
  if constexpr (std::is_same_v<Pdu, iscsi::ScsiCommand>)
    ahs = iscsi::encode_ahs(pdu, std::span(slot.header).subspan(iscsi::bhs_bytes));
  std::array<iovec, iscsi::gather_entries(1)> vectors;
  const iovec payload{const_cast<std::byte*>(data.data()), data.size()};
  const std::size_t count =
      iscsi::gather(slot, ahs, digests_, std::span(&payload, data.empty() ? 0 : 1), std::span(vectors));
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* begin = static_cast<const std::byte*>(vectors[i].iov_base);
    bytes.insert(bytes.end(), begin, begin + vectors[i].iov_len);
  }
  if (corrupt_at_ && *corrupt_at_ < bytes.size()) bytes[*corrupt_at_] ^= std::byte{0x40};
  corrupt_at_.reset();
  peer_->send(bytes);
}

template void Initiator::send_encoded(const iscsi::NopOut&, std::span<const std::byte>);
template void Initiator::send_encoded(const iscsi::ScsiCommand&, std::span<const std::byte>);
template void Initiator::send_encoded(const iscsi::TaskManagementRequest&, std::span<const std::byte>);
template void Initiator::send_encoded(const iscsi::DataOut&, std::span<const std::byte>);
template void Initiator::send_encoded(const iscsi::TextRequest&, std::span<const std::byte>);
template void Initiator::send_encoded(const iscsi::LoginRequest&, std::span<const std::byte>);
template void Initiator::send_encoded(const iscsi::LogoutRequest&, std::span<const std::byte>);
template void Initiator::send_encoded(const iscsi::SnackRequest&, std::span<const std::byte>);

bool Initiator::poll() {
  bytes_.clear();
  peer_->take(bytes_);
  if (!bytes_.empty()) parse(bytes_);
  return !inbox.empty();
}

void Initiator::parse(std::span<const std::byte> bytes) {
  using Event = iscsi::PduReader::Event;
  while (!bytes.empty() && reader_.missing_bytes() > 0) {
    const std::span<std::byte> missing = reader_.missing().front();
    const std::size_t count = std::min(missing.size(), bytes.size());
    std::copy_n(bytes.begin(), count, missing.begin());
    reader_.direct_filled(count);
    bytes = bytes.subspan(count);
  }
  reader_.feed(bytes);
  for (;;) {
    switch (reader_.next()) {
      case Event::need_input:
        return;
      case Event::header:
        data_.assign(reader_.data_length(), std::byte{0});
        if (!data_.empty()) reader_.place(std::span(data_));
        break;
      case Event::complete: {
        Incoming incoming{iscsi::decode_response(reader_.header()), data_};
        const auto* malformed = incoming.as<iscsi::Malformed>();
        INFO((malformed == nullptr ? "" : std::string(malformed->what)));
        REQUIRE(malformed == nullptr);
        on_pdu(std::move(incoming));
        break;
      }
      case Event::data_digest_error:
      case Event::header_digest_error:
      case Event::data_too_long:
      case Event::ahs_too_long:
        FAIL("the target sent a PDU with a wrong digest or length");
    }
  }
}

// StatSN goes up by one with each status and by none without; the window never moves back (RFC 7143 4.2.2).
void Initiator::on_numbers(const iscsi::SequenceNumbers& numbers, bool has_status) {
  if (!logged_in_) {
    exp_stat_sn_ = numbers.stat_sn.plus(1);
  } else {
    INFO("StatSN " << numbers.stat_sn.value() << " expected " << exp_stat_sn_.value());
    REQUIRE(numbers.stat_sn == exp_stat_sn_);
    if (has_status) ++exp_stat_sn_;
    REQUIRE_FALSE(numbers.max_cmd_sn.is_before(max_cmd_sn_));
  }
  max_cmd_sn_ = numbers.max_cmd_sn;
}

void Initiator::on_pdu(Incoming incoming) {
  ++responses_seen_;
  std::visit(
      [this](const auto& pdu) {
        using Pdu = std::remove_cvref_t<decltype(pdu)>;
        if constexpr (std::is_same_v<Pdu, iscsi::DataIn>) {
          if (pdu.has_status) on_numbers(pdu.sn, true);
        } else if constexpr (std::is_same_v<Pdu, iscsi::NopIn>) {
          on_numbers(pdu.sn, pdu.initiator_task_tag != iscsi::reserved_tag);
        } else if constexpr (std::is_same_v<Pdu, iscsi::R2t>) {
          on_numbers(pdu.sn, false);
        } else if constexpr (!std::is_same_v<Pdu, iscsi::Malformed>) {
          on_numbers(pdu.sn, true);
        }
      },
      incoming.pdu);
  if (!on_command_pdu(incoming)) inbox.push_back(std::move(incoming));
}

bool Initiator::on_command_pdu(const Incoming& incoming) {
  if (const auto* data_in = incoming.as<iscsi::DataIn>()) {
    const auto found = commands_.find(data_in->initiator_task_tag);
    if (found == commands_.end()) return false;
    on_data_in(found->second, *data_in, incoming.data);
    return true;
  }
  if (const auto* r2t = incoming.as<iscsi::R2t>()) {
    ++r2ts_seen_;
    const auto found = commands_.find(r2t->initiator_task_tag);
    if (found == commands_.end()) return false;
    REQUIRE(r2t->r2t_sn == iscsi::SerialNumber(found->second.r2t_sn++));
    REQUIRE(r2t->desired_data_transfer_length > 0);
    REQUIRE(r2t->desired_data_transfer_length <= options_.max_burst_length);
    if (!ignores_r2ts_)
      send_data_out(found->second, r2t->target_transfer_tag, r2t->buffer_offset,
                    r2t->buffer_offset + r2t->desired_data_transfer_length);
    return true;
  }
  if (const auto* response = incoming.as<iscsi::ScsiResponse>()) {
    const auto found = commands_.find(response->initiator_task_tag);
    if (found == commands_.end()) return false;
    on_response(found->second, *response, incoming.data);
    return true;
  }
  return false;
}

void Initiator::on_data_in(Running& running, const iscsi::DataIn& pdu, std::span<const std::byte> data) {
  REQUIRE_FALSE(running.result.ended);
  REQUIRE(pdu.data_sn == iscsi::SerialNumber(running.data_sn++));
  REQUIRE(pdu.buffer_offset == running.received);
  REQUIRE(data.size() <= options_.max_recv_data_segment_length);
  running.received += static_cast<std::uint32_t>(data.size());
  REQUIRE(running.received <= running.pdu.expected_data_transfer_length);
  running.result.data.insert(running.result.data.end(), data.begin(), data.end());
  if (!pdu.has_status) return;
  REQUIRE(pdu.final_bit);
  running.result.ended = true;
  running.result.status = pdu.status;
  running.result.residual = pdu.residual;
}

void Initiator::on_response(Running& running, const iscsi::ScsiResponse& pdu, std::span<const std::byte> data) {
  REQUIRE_FALSE(running.result.ended);
  REQUIRE(pdu.exp_data_sn == iscsi::SerialNumber(running.data_sn + running.r2t_sn));
  running.result.ended = true;
  running.result.status = pdu.status;
  running.result.residual = pdu.residual;
  if (data.size() > 2) running.result.sense.assign(data.begin() + 2, data.end());
}

std::optional<Incoming> Initiator::receive(std::uint64_t limit_ns) {
  world_.run_until([this] { return poll(); }, limit_ns);
  if (inbox.empty()) return std::nullopt;
  Incoming first = std::move(inbox.front());
  inbox.pop_front();
  return first;
}

bool Initiator::wait_closed(std::uint64_t limit_ns) {
  return world_.run_until(
      [this] {
        poll();
        return peer_->closed();
      },
      limit_ns);
}

// ---- login --------------------------------------------------------------------------------------------------------

std::optional<iscsi::LoginResponse> Initiator::login(const LoginOptions& options) {
  options_ = options;
  std::string text = "InitiatorName=" + options.initiator;
  const auto add = [&text](std::string_view key, std::string_view value) {
    text.push_back('\0');
    text.append(key).append("=").append(value);
  };
  if (options.discovery) {
    add("SessionType", "Discovery");
  } else if (options.tsih != 0) {
    // A further connection: the session's keys are agreed already.
    add("TargetName", options.target);
  } else {
    add("SessionType", "Normal");
    add("TargetName", options.target);
    add("InitialR2T", options.initial_r2t ? "Yes" : "No");
    add("ImmediateData", options.immediate_data ? "Yes" : "No");
    add("MaxBurstLength", std::to_string(options.max_burst_length));
    add("FirstBurstLength", std::to_string(options.first_burst_length));
    add("MaxOutstandingR2T", std::to_string(options.max_outstanding_r2t));
    add("ErrorRecoveryLevel", "0");
  }
  add("HeaderDigest", options.header_digest ? "CRC32C" : "None");
  add("DataDigest", options.data_digest ? "CRC32C" : "None");
  add("MaxRecvDataSegmentLength", std::to_string(options.max_recv_data_segment_length));
  text.push_back('\0');

  if (options.chap) {
    const auto authenticated = authenticate(options);
    if (!authenticated || authenticated->status != iscsi::LoginStatus::success) return authenticated;
  }
  const auto response = login_step(options, 1, 3, text);
  if (!response) return std::nullopt;
  if (response->status == iscsi::LoginStatus::success) {
    REQUIRE(response->transit);
    REQUIRE(response->tsih != 0);
    logged_in_ = true;
    digests_ = {options.header_digest, options.data_digest};
    reader_.set_limits(
        {iscsi::data_segment_bytes_max, iscsi::ahs_bytes_max, options.header_digest, options.data_digest});
  }
  return *response;
}

std::optional<iscsi::LoginResponse> Initiator::login_step(const LoginOptions& options, std::uint8_t stage,
                                                          std::optional<std::uint8_t> next, const std::string& text) {
  iscsi::LoginRequest request;
  request.transit = next.has_value();
  request.current_stage = stage;
  request.next_stage = next.value_or(0);
  request.isid = options.isid;
  request.tsih = options.tsih;
  request.initiator_task_tag = next_tag();
  request.cmd_sn = cmd_sn_;
  send(request, std::as_bytes(std::span(text)));
  const auto incoming = receive(20'000'000'000);
  if (!incoming) return std::nullopt;
  const auto* response = incoming->as<iscsi::LoginResponse>();
  REQUIRE(response != nullptr);
  login_text_.assign(reinterpret_cast<const char*>(incoming->data.data()), incoming->data.size());
  return *response;
}

std::string Initiator::login_value(const std::string& key) const {
  const std::string text = std::string(1, '\0') + login_text_;
  const std::size_t at = text.find(std::string(1, '\0') + key + "=");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + key.size() + 2;
  return text.substr(begin, text.find('\0', begin) - begin);
}

std::optional<iscsi::LoginResponse> Initiator::authenticate(const LoginOptions& options) {
  const auto text = [](std::initializer_list<std::string> pairs) {
    std::string all;
    for (const std::string& pair : pairs) all += pair + std::string(1, '\0');
    return all;
  };
  const ChapLogin& chap = *options.chap;
  const auto algorithm = static_cast<iscsi::ChapAlgorithm>(chap.algorithm);
  auto response = login_step(
      options, 0, {},
      text({"InitiatorName=" + options.initiator,
            options.discovery ? "SessionType=Discovery" : "TargetName=" + options.target, "AuthMethod=CHAP,None"}));
  if (!response || response->status != iscsi::LoginStatus::success) return response;
  response = login_step(options, 0, {}, text({"CHAP_A=" + std::to_string(chap.algorithm)}));
  if (!response || response->status != iscsi::LoginStatus::success) return response;
  std::array<std::byte, 64> challenge{};
  const auto size = bytes::decode_binary(login_value("CHAP_C"), challenge);
  const auto identifier = bytes::decode_number(login_value("CHAP_I"));
  REQUIRE((size && *size >= 16 && identifier));
  const auto answer = iscsi::chap_response(algorithm, static_cast<std::uint8_t>(*identifier), chap.secret,
                                           std::span(challenge).first(*size));
  std::string keys = text({"CHAP_N=" + chap.username, "CHAP_R=" + bytes::encode_hex(answer.view())});
  if (!chap.target_username.empty()) keys += text({"CHAP_I=66", "CHAP_C=0x0102030405060708"});
  response = login_step(options, 0, 1, keys);
  if (!response || response->status != iscsi::LoginStatus::success || chap.target_username.empty()) return response;
  const std::array<std::byte, 8> ours{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                      std::byte{5}, std::byte{6}, std::byte{7}, std::byte{8}};
  REQUIRE(login_value("CHAP_N") == chap.target_username);
  REQUIRE(login_value("CHAP_R") ==
          bytes::encode_hex(iscsi::chap_response(algorithm, 66, chap.target_secret, ours).view()));
  return response;
}

void Initiator::log_out() {
  iscsi::LogoutRequest request;
  request.immediate = true;
  request.initiator_task_tag = next_tag();
  request.cmd_sn = cmd_sn_;
  request.exp_stat_sn = exp_stat_sn_;
  send(request);
}

// ---- commands -----------------------------------------------------------------------------------------------------

iscsi::ScsiCommand Initiator::command(std::vector<std::uint8_t> cdb, std::uint64_t lun) {
  iscsi::ScsiCommand pdu;
  std::copy(cdb.begin(), cdb.end(), pdu.cdb.begin());
  pdu.lun = lun;
  pdu.initiator_task_tag = next_tag();
  pdu.cmd_sn = take_cmd_sn();
  pdu.exp_stat_sn = exp_stat_sn_;
  return pdu;
}

std::uint32_t Initiator::start(iscsi::ScsiCommand pdu, std::vector<std::byte> data_out) {
  const std::uint32_t tag = pdu.initiator_task_tag;
  const auto length = static_cast<std::uint32_t>(data_out.size());
  std::uint32_t immediate = 0;
  if (pdu.write && options_.immediate_data) immediate = std::min({length, options_.first_burst_length, 262144U});
  const std::uint32_t unsolicited_end =
      pdu.write && !options_.initial_r2t ? std::min(length, options_.first_burst_length) : immediate;
  pdu.final_bit = unsolicited_end == immediate;
  Running& running = commands_[tag];
  running.pdu = pdu;
  running.data_out = std::move(data_out);
  send(pdu, std::span(running.data_out).first(immediate));
  if (unsolicited_end > immediate) send_data_out(running, iscsi::reserved_tag, immediate, unsolicited_end);
  return tag;
}

void Initiator::send_data_out(Running& running, std::uint32_t target_transfer_tag, std::uint32_t begin,
                              std::uint32_t end) {
  REQUIRE(end <= running.data_out.size());
  std::uint32_t data_sn = 0;
  for (std::uint32_t at = begin; at < end;) {
    const std::uint32_t length = std::min(end - at, 32768U);
    iscsi::DataOut pdu;
    pdu.lun = running.pdu.lun;
    pdu.initiator_task_tag = running.pdu.initiator_task_tag;
    pdu.target_transfer_tag = target_transfer_tag;
    pdu.exp_stat_sn = exp_stat_sn_;
    pdu.data_sn = iscsi::SerialNumber(data_sn++);
    pdu.buffer_offset = at;
    pdu.final_bit = at + length == end;
    send(pdu, std::span(running.data_out).subspan(at, length));
    at += length;
  }
}

std::uint32_t Initiator::start_read(std::uint32_t block, std::uint16_t blocks) {
  iscsi::ScsiCommand pdu = command(read_10(block, blocks));
  pdu.read = true;
  pdu.expected_data_transfer_length = blocks * block_bytes;
  return start(pdu);
}

std::uint32_t Initiator::start_write(std::uint32_t block, std::vector<std::byte> data) {
  iscsi::ScsiCommand pdu = command(write_10(block, static_cast<std::uint16_t>(data.size() / block_bytes)));
  pdu.write = true;
  pdu.expected_data_transfer_length = static_cast<std::uint32_t>(data.size());
  return start(pdu, std::move(data));
}

bool Initiator::has_ended(std::uint32_t tag) const {
  const auto found = commands_.find(tag);
  return found != commands_.end() && found->second.result.ended;
}

CommandResult Initiator::take(std::uint32_t tag) {
  CommandResult result = std::move(commands_.at(tag).result);
  commands_.erase(tag);
  return result;
}

std::size_t Initiator::commands_running() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(commands_, [](const auto& entry) { return !entry.second.result.ended; }));
}

CommandResult Initiator::finish(std::uint32_t tag, std::uint64_t limit_ns) {
  world_.run_until(
      [&] {
        poll();
        return has_ended(tag);
      },
      limit_ns);
  return take(tag);
}

CommandResult Initiator::run(std::vector<std::uint8_t> cdb, std::uint32_t read_bytes, std::uint64_t lun) {
  iscsi::ScsiCommand pdu = command(std::move(cdb), lun);
  pdu.read = read_bytes > 0;
  pdu.expected_data_transfer_length = read_bytes;
  return finish(start(pdu));
}

void Initiator::clear_unit_attentions(std::uint64_t lun) {
  for (int tries = 0; tries < 8; ++tries)
    if (run({0, 0, 0, 0, 0, 0}, 0, lun).status == 0) return;
  FAIL("the unit does not get ready");
}

}  // namespace lunaris::sim
