// Connection: one TCP connection of a session in full feature phase: receives PDUs, checks and dispatches them, keeps
// time, and owns the queue of what is to be sent. Owned by Session.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/iscsi/command_window.h"
#include "protocol/iscsi/pdu.h"
#include "protocol/iscsi/pdu_reader.h"
#include "protocol/iscsi/text_exchange.h"
#include "server/iscsi/end_reason.h"
#include "server/iscsi/out_queue.h"
#include "server/iscsi/receive_buffer.h"
#include "server/runtime/stream.h"
#include "server/runtime/timer_wheel.h"
#include "server/runtime/worker.h"

namespace lunaris::iscsi_server {

class CommandTask;
class Session;
struct Handover;

/// A PDU that belongs to no command, on its way out.
class ControlPdu final : public PduSource {
 public:
  using Pdu = std::variant<iscsi::NopIn, iscsi::TaskManagementResponse, iscsi::TextResponse, iscsi::LogoutResponse,
                           iscsi::AsyncMessage, iscsi::Reject>;
  explicit ControlPdu(class Connection& connection) noexcept : connection_(connection) {}

  Pdu pdu;
  runtime::BufferLease lease;                        // its data, or
  ChunkRef chunk;                                    // its data where it was received, or
  std::array<std::byte, iscsi::bhs_bytes> header{};  // the header a Reject returns
  std::span<const std::byte> data;

 private:
  Next produce(Batch& batch) override;
  Connection& connection_;
};

/// Waits (receive, a coroutine) apart from applying (apply_received, handle_*: synchronous). A peer's mistakes end in a
/// Reject or in `end`; nothing it sends throws or blocks others.
class Connection final : private runtime::Timer, private iscsi::TextHost {
 public:
  Connection(Session& session, Handover handover);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Receives until the connection ends. Then nothing is being read any more.
  runtime::Task<> receive();
  /// Sends what is queued until `end` or `finish_sending`. Beside `receive`.
  runtime::Task<> send();

  /// The verdict: the first one counts, is logged once and ends both loops. `drain`: what is queued is sent first.
  void end(EndReason reason, std::string_view what, bool drain = false);
  [[nodiscard]] bool is_ending() const noexcept { return end_reason_ != EndReason::none; }
  [[nodiscard]] EndReason end_reason() const noexcept { return end_reason_; }
  /// It is ending, and answers that are ready still leave.
  [[nodiscard]] bool is_draining() const noexcept { return end_reason_ == EndReason::logout || ending_ns_ != 0; }
  /// After all tasks have ended: the logout response, if one is due, then the end of sending.
  void finish_sending();
  /// Drops what is still queued. After both loops have ended.
  void discard_queued();

  /// Queues a PDU that is not a command's.
  void send_control(const ControlPdu::Pdu& pdu);
  void reject(iscsi::RejectReason reason, std::string_view what);
  void send_async(iscsi::AsyncEvent event, std::uint16_t parameter3);

  [[nodiscard]] OutQueue& out() noexcept { return out_; }
  [[nodiscard]] Session& session() noexcept { return session_; }
  [[nodiscard]] std::uint64_t now_ns() const noexcept { return now_ns_; }
  [[nodiscard]] const runtime::Endpoint& peer() const noexcept { return stream_->peer(); }
  /// A control PDU has been put into a batch.
  void recycle(ControlPdu& pdu) noexcept;

 private:
  enum class Sink : std::uint8_t { none, command, data_out, buffer };

  void apply_received(std::size_t count, std::span<std::byte> room);
  void handle_events();
  void on_header();
  void on_complete();
  void on_digest_error();

  // Headers: what is to happen with the data, and whether the request is accepted.
  void header_of(const iscsi::Malformed& pdu);
  void header_of(const iscsi::ScsiCommand& pdu);
  void header_of(const iscsi::DataOut& pdu);
  void header_of(const iscsi::NopOut& pdu);
  void header_of(const iscsi::TextRequest& pdu);
  void header_of(const iscsi::TaskManagementRequest& pdu);
  void header_of(const iscsi::LogoutRequest& pdu);
  void header_of(const iscsi::SnackRequest& pdu);
  void header_of(const iscsi::LoginRequest& pdu);
  // Complete requests.
  void complete(const iscsi::ScsiCommand& pdu);
  void complete(const iscsi::DataOut& pdu);
  void complete(const iscsi::NopOut& pdu);
  void complete(const iscsi::TextRequest& pdu);
  void complete(const iscsi::TaskManagementRequest& pdu);
  void complete(const iscsi::LogoutRequest& pdu);

  [[nodiscard]] bool accept_request(iscsi::SerialNumber cmd_sn, bool immediate, iscsi::SerialNumber exp_stat_sn);
  void place_immediate_data(const iscsi::ScsiCommand& pdu);
  [[nodiscard]] bool place_in_buffer(std::uint32_t length);
  void stop_filling();
  ControlPdu& take_control();
  std::vector<iscsi::DiscoveredTarget> discover(std::string_view name) override;

  void fire() override;  // housekeeping
  void keep_alive();
  void warn(std::string_view what);

  Session& session_;
  runtime::Worker& worker_;
  std::unique_ptr<runtime::ByteStream> stream_;
  std::uint16_t cid_;
  iscsi::Offer offer_;
  iscsi::TextExchange text_;
  iscsi::PduReader reader_;
  ReceiveBuffer buffer_;
  OutQueue out_;
  std::vector<std::byte> carried_over_;

  // The request whose data is arriving.
  iscsi::RequestPdu current_;
  iscsi::CommandWindow::Admission admission_ = iscsi::CommandWindow::Admission::ignore;
  Sink sink_ = Sink::none;
  bool accepted_ = false;
  CommandTask* task_ = nullptr;
  std::uint32_t in_place_bytes_ = 0;
  runtime::BufferLease data_lease_;  // NOP and Text data
  ChunkRef data_chunk_;
  std::span<const std::byte> data_;

  std::vector<std::unique_ptr<ControlPdu>> control_made_;
  std::vector<ControlPdu*> control_free_;
  std::uint32_t control_queued_ = 0;
  runtime::Signal control_room_;

  EndReason end_reason_ = EndReason::none;
  std::optional<iscsi::LogoutResponse> logout_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t received_ns_ = 0;       // when bytes came last
  std::uint64_t partial_since_ns_ = 0;  // a PDU began to arrive and is not complete; 0: none
  std::uint64_t asked_ns_ = 0;          // NOP-In sent and nothing heard since; 0: none
  std::uint64_t ending_ns_ = 0;         // when finish_sending was called
  std::uint32_t nop_tag_ = 1;
  std::uint32_t warnings_ = 0;
};

}  // namespace lunaris::iscsi_server
