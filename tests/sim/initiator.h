// Initiator: a simulated iSCSI initiator. Speaks PDUs through a SimPeer; strict where a real one is (sequence numbers,
// lengths, digests: a wrong one from the target fails the test), free where a test wants to be wrong.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/iscsi/codec.h"
#include "protocol/iscsi/pdu.h"
#include "protocol/iscsi/pdu_reader.h"
#include "protocol/iscsi/pdu_writer.h"
#include "tests/sim/sim_target.h"

namespace lunaris::sim {

/// What the target sent.
struct Incoming {
  iscsi::ResponsePdu pdu;
  std::vector<std::byte> data;
  template <class Pdu>
  [[nodiscard]] const Pdu* as() const {
    return std::get_if<Pdu>(&pdu);
  }
};

/// As whom to log in, and how to check that the target is who it says.
struct ChapLogin {
  std::string username;
  std::string secret;
  std::string target_username;  // not empty: mutual
  std::string target_secret;
  unsigned algorithm = 7;
};

struct LoginOptions {
  std::string initiator = "iqn.2026-01.io.example:initiator";
  std::string target = target_name;
  bool discovery = false;
  iscsi::Isid isid = 0x00023d000001;
  std::uint16_t tsih = 0;
  std::optional<ChapLogin> chap;  // nothing: straight to the operational stage
  bool header_digest = false;
  bool data_digest = false;
  bool initial_r2t = true;
  bool immediate_data = true;
  std::uint32_t max_recv_data_segment_length = 65536;
  std::uint32_t max_burst_length = 262144;
  std::uint32_t first_burst_length = 65536;
  std::uint32_t max_outstanding_r2t = 1;
};

/// How a command ended.
struct CommandResult {
  bool ended = false;  // a response came
  std::uint8_t status = 0xff;
  std::vector<std::byte> data;
  std::vector<std::byte> sense;
  iscsi::Residual residual;
};

class Initiator {
 public:
  Initiator(SimWorld& world, std::unique_ptr<SimPeer> peer) : world_(world), peer_(std::move(peer)) {}

  // --- PDUs -------------------------------------------------------------------------------------------------------
  template <class Pdu>
  void send(Pdu pdu, std::span<const std::byte> data = {}) {
    pdu.data_segment_length = static_cast<std::uint32_t>(data.size());
    send_encoded(pdu, data);
  }
  void send(iscsi::TaskManagementRequest pdu) { send_encoded(pdu, {}); }
  void send(iscsi::LogoutRequest pdu) { send_encoded(pdu, {}); }
  void send(iscsi::SnackRequest pdu) { send_encoded(pdu, {}); }
  void send_raw(std::span<const std::byte> bytes) { peer_->send(bytes); }
  /// Damages what is sent next: the byte at `offset` of the PDU with its digests.
  void corrupt_next(std::size_t offset) { corrupt_at_ = offset; }

  /// Handles what has arrived; true when a PDU is waiting in `inbox`.
  bool poll();
  /// The next PDU, or nothing within `limit_ns`.
  std::optional<Incoming> receive(std::uint64_t limit_ns = 5'000'000'000);
  /// True when the target has closed the connection (within `limit_ns`).
  bool wait_closed(std::uint64_t limit_ns = 60'000'000'000);
  [[nodiscard]] bool is_closed() const { return peer_->closed(); }
  [[nodiscard]] SimPeer& peer() { return *peer_; }

  // --- login ------------------------------------------------------------------------------------------------------
  /// To full feature phase. The last Login Response.
  std::optional<iscsi::LoginResponse> login(const LoginOptions& options = {});
  /// One Login Request of `options` with the pairs of `text` (each ended by NUL); with `next` it asks for that stage.
  std::optional<iscsi::LoginResponse> login_step(const LoginOptions& options, std::uint8_t stage,
                                                 std::optional<std::uint8_t> next, const std::string& text);
  /// The CHAP exchange of `options`; the response to its last request.
  std::optional<iscsi::LoginResponse> authenticate(const LoginOptions& options);
  /// A value of the last login text; empty when it is not there.
  [[nodiscard]] std::string login_value(const std::string& key) const;
  [[nodiscard]] const std::string& login_text() const { return login_text_; }
  void log_out();

  // --- commands ---------------------------------------------------------------------------------------------------
  /// A SCSI Command PDU with the next tag and CmdSN, not sent.
  [[nodiscard]] iscsi::ScsiCommand command(std::vector<std::uint8_t> cdb, std::uint64_t lun = 0);
  /// Starts a command; data goes out by the negotiated rules as R2Ts ask for it. Its tag.
  std::uint32_t start(iscsi::ScsiCommand pdu, std::vector<std::byte> data_out = {});
  std::uint32_t start_read(std::uint32_t block, std::uint16_t blocks);
  std::uint32_t start_write(std::uint32_t block, std::vector<std::byte> data);
  /// Lets the world go on until the command has ended.
  CommandResult finish(std::uint32_t tag, std::uint64_t limit_ns = 60'000'000'000);
  CommandResult run(std::vector<std::uint8_t> cdb, std::uint32_t read_bytes, std::uint64_t lun = 0);
  CommandResult read(std::uint32_t block, std::uint16_t blocks) { return finish(start_read(block, blocks)); }
  CommandResult write(std::uint32_t block, std::vector<std::byte> data) {
    return finish(start_write(block, std::move(data)));
  }
  [[nodiscard]] bool has_ended(std::uint32_t tag) const;
  [[nodiscard]] CommandResult take(std::uint32_t tag);
  void forget(std::uint32_t tag) { commands_.erase(tag); }
  [[nodiscard]] std::size_t commands_running() const;
  /// TEST UNIT READY until no unit attention is left.
  void clear_unit_attentions(std::uint64_t lun = 0);

  std::uint32_t next_tag() { return next_tag_++; }
  iscsi::SerialNumber take_cmd_sn() {
    const auto taken = cmd_sn_;
    ++cmd_sn_;
    return taken;
  }
  [[nodiscard]] iscsi::SerialNumber cmd_sn() const { return cmd_sn_; }
  void set_cmd_sn(iscsi::SerialNumber value) { cmd_sn_ = value; }
  [[nodiscard]] iscsi::SerialNumber exp_stat_sn() const { return exp_stat_sn_; }
  [[nodiscard]] iscsi::SerialNumber max_cmd_sn() const { return max_cmd_sn_; }
  /// Leaves every R2T unanswered from now on.
  void ignore_r2ts() { ignores_r2ts_ = true; }
  [[nodiscard]] std::size_t r2ts_seen() const { return r2ts_seen_; }
  [[nodiscard]] std::size_t responses_seen() const { return responses_seen_; }

  std::deque<Incoming> inbox;  // PDUs that belong to no running command

 private:
  struct Running {
    iscsi::ScsiCommand pdu;
    std::vector<std::byte> data_out;
    CommandResult result;
    std::uint32_t data_sn = 0;
    std::uint32_t r2t_sn = 0;
    std::uint32_t received = 0;
  };
  template <class Pdu>
  void send_encoded(const Pdu& pdu, std::span<const std::byte> data);
  void on_pdu(Incoming incoming);
  void on_numbers(const iscsi::SequenceNumbers& numbers, bool has_status);
  bool on_command_pdu(const Incoming& incoming);
  void on_data_in(Running& running, const iscsi::DataIn& pdu, std::span<const std::byte> data);
  void on_response(Running& running, const iscsi::ScsiResponse& pdu, std::span<const std::byte> data);
  void send_data_out(Running& running, std::uint32_t target_transfer_tag, std::uint32_t begin, std::uint32_t end);
  void parse(std::span<const std::byte> bytes);

  SimWorld& world_;
  std::unique_ptr<SimPeer> peer_;
  LoginOptions options_;
  iscsi::Digests digests_;
  iscsi::PduReader reader_{iscsi::ReaderLimits{iscsi::data_segment_bytes_max, iscsi::ahs_bytes_max, false, false}};
  std::vector<std::byte> bytes_;
  std::vector<std::byte> data_;
  std::string login_text_;
  std::map<std::uint32_t, Running> commands_;
  std::optional<std::size_t> corrupt_at_;
  iscsi::SerialNumber cmd_sn_{1};
  iscsi::SerialNumber exp_stat_sn_{0};
  iscsi::SerialNumber max_cmd_sn_{0};
  std::uint32_t next_tag_ = 1;
  std::size_t r2ts_seen_ = 0;
  std::size_t responses_seen_ = 0;
  bool logged_in_ = false;
  bool ignores_r2ts_ = false;
};

/// `count` bytes that depend on `seed`.
[[nodiscard]] std::vector<std::byte> pattern(std::size_t count, std::uint32_t seed);
[[nodiscard]] std::vector<std::uint8_t> read_10(std::uint32_t block, std::uint16_t blocks);
[[nodiscard]] std::vector<std::uint8_t> write_10(std::uint32_t block, std::uint16_t blocks);

}  // namespace lunaris::sim
