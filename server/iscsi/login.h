// Login: one connection from its acceptance to the end of its login phase (RFC 7143 6.3). Feeds LoginMachine, asks the
// registry for admission, and leaves the connection with nothing pending, ready to move. Used by SessionHost.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/iscsi/chap.h"
#include "protocol/iscsi/login.h"
#include "protocol/iscsi/pdu_reader.h"
#include "server/iscsi/session.h"
#include "server/runtime/stream.h"
#include "server/runtime/timer_wheel.h"
#include "server/runtime/worker.h"

namespace lunaris::iscsi_server {

/// Strictly half duplex: one read or one write at a time, nothing else armed but the time limit, which only shuts the
/// stream down.
class Login final : private runtime::Timer, private iscsi::LoginHost {
 public:
  Login(SessionHost& host, std::unique_ptr<runtime::ByteStream> stream, std::string portal, std::uint16_t portal_group);
  ~Login() override;
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;

  struct Success {
    unsigned host = 0;  // where the session is
    std::uint64_t session = 0;
    Handover handover;
  };
  /// Nothing when the login failed; the connection is closed with this object then.
  runtime::Task<std::optional<Success>> run();
  void cancel() noexcept;

  Login* next = nullptr;  // SessionHost's list
  Login* previous = nullptr;

 private:
  iscsi::LoginAccess access(const iscsi::LoginIdentity& identity) override;
  void fire() override;

  runtime::Task<bool> receive_request();
  runtime::Task<bool> read_some();
  runtime::Task<bool> respond(const iscsi::LoginStep& step);
  runtime::Task<iscsi::LoginStep> admit();
  runtime::Task<> withdraw();
  [[nodiscard]] LoginFailure failure_of(std::string reason) const;
  runtime::Task<> record_refusal(iscsi::LoginStatus status, std::string reason);
  [[nodiscard]] iscsi::LoginStep apply_request();
  void log_refusal(const iscsi::LoginStep& step);

  SessionHost& host_;
  runtime::Worker& worker_;
  std::unique_ptr<runtime::ByteStream> stream_;
  std::string portal_;
  std::uint16_t portal_group_;
  std::shared_ptr<const Exports> exports_;          // those of this login; the authenticator refers to them
  const iscsi::ChapAuthenticator* chap_ = nullptr;  // the machine's; null: there is none
  iscsi::LoginMachine machine_;
  iscsi::PduReader reader_;
  std::vector<std::byte> chunk_;
  std::vector<std::byte> text_;
  Admission admission_;
  bool cancelled_ = false;
  bool holding_back_ = false;  // the timer is that of a refusal's delay
  runtime::Signal delay_over_;
};

}  // namespace lunaris::iscsi_server
