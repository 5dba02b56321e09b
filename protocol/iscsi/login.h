// LoginMachine: one connection's login phase, without sockets (RFC 7143 section 6.3, 11.12, 11.13). The session feeds
// it decoded Login Requests and sends the Login Responses it returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/iscsi/codec.h"
#include "protocol/iscsi/negotiation.h"
#include "protocol/iscsi/pdu.h"

namespace lunaris::iscsi {

/// Who logs in, where. Names are normalised. In a discovery session target_name is empty.
struct LoginIdentity {
  std::string initiator_name;
  std::string target_name;
  SessionType session_type = SessionType::normal;
  Isid isid = 0;
  std::uint16_t tsih = 0;  // 0: a new session (or reinstatement); else a connection is to be added
  std::uint16_t cid = 0;
};

/// Plugs into the security stage. One per login.
class Authenticator {
 public:
  enum class Verdict : std::uint8_t {
    continues,  // more exchanges are needed
    passed,
    failed,     // login ends with authentication_failure
    malformed,  // login ends with initiator_error: keys out of order, undecodable values
    missing,    // login ends with missing_parameter
  };
  virtual ~Authenticator() = default;
  /// False: an initiator may go straight to the operational stage.
  [[nodiscard]] virtual bool is_required() const noexcept = 0;
  /// The authentication keys (AuthMethod, CHAP_*) of one request, in the order sent; maybe none. Adds its answers.
  virtual Verdict receive(std::span<const KeyValue> keys, TextBuilder& answers) = 0;
  /// After failed, malformed or missing: why, in words for the administrator (never for the peer); static. Empty: the
  /// verdict says it.
  [[nodiscard]] virtual std::string_view reason() const noexcept { return {}; }
};

/// AuthMethod=None and nothing else.
class NoAuthentication final : public Authenticator {
 public:
  [[nodiscard]] bool is_required() const noexcept override { return false; }
  Verdict receive(std::span<const KeyValue> keys, TextBuilder& answers) override;
};

/// What the host says about an initiator at a target.
struct LoginAccess {
  /// success, or why not: not_found, target_removed, authorization_failure, service_unavailable, target_moved_*.
  LoginStatus status = LoginStatus::success;
  std::string_view reason{};                     // without success: why, in words for the administrator; static
  std::string redirect_address;                  // for target_moved_*: TargetAddress, "host:port,tag"
  Offer offer;                                   // with success
  std::unique_ptr<Authenticator> authenticator;  // with success; null: NoAuthentication
};

/// What the machine asks its owner, synchronously: answered from the owner's snapshot of the exports.
class LoginHost {
 public:
  virtual ~LoginHost() = default;
  /// Once per login, as soon as the names are known.
  virtual LoginAccess access(const LoginIdentity& identity) = 0;
};

/// What the session shall do now.
struct LoginStep {
  enum class Action : std::uint8_t {
    respond,  // send response + text, wait for the next request
    admit,    // everything is agreed: find or make the session (reinstatement: end the old one's tasks first), then
              // call LoginMachine::admitted
    done,     // send response + text; full feature phase begins after it
    refuse,   // send response, then close the connection
    close,    // close without a word (the peer speaks no iSCSI, or went past a limit after a refusal)
  };
  Action action = Action::close;
  LoginResponse
      response{};           // sn.exp_cmd_sn/max_cmd_sn are the login's; the session may overwrite max_cmd_sn for `done`
  std::string_view text{};  // valid until the machine is called again
  std::string_view reason{};  // words for the log on refuse and close; static
};

/// The owner's answer to `admit`.
struct Admission {
  LoginStatus status = LoginStatus::success;
  std::uint16_t tsih = 0;  // of the session, not 0
};

/// State drawing (a request arrives at each arrow; any of them can lead to `refused`):
///
///              first request: version, stage, names -> LoginHost::access
///                 | CSG=0                           | CSG=1, authentication not required
///                 v                                 v
///   +----> [ security ] -- T, NSG=1, authenticated --> [ operational ] <--+
///   |  no T / C / keys left |                              |   no T / C   |
///   +-----------------------+                              +--------------+
///                 | T, NSG=3, authenticated                | T, NSG=3
///                 v                                        v
///              [ admitting ]  -- Action::admit; admitted(success) --> [ finished ]  (Action::done)
///                                       admitted(anything else)  --> [ refused ]   (Action::refuse)
///
/// T is answered with T only when nothing is left to say: while an answer does not fit one data segment (C = 1 from us)
/// or an Authenticator wants more, the answer has T = 0 and the initiator sends on. An initiator's C = 1 is answered
/// with an empty response without T (RFC 7143 6.2).
///
/// Limits: exchanges_max requests and negotiation_text_bytes_max bytes of text; past them the login is refused. Time is
/// the session's. Any bytes after the last Login Request stay in PduReader::unread(). Not thread-safe; allocates (login
/// is not the data path).
class LoginMachine {
 public:
  static constexpr unsigned exchanges_max = 32;
  /// Login text goes out in segments of at most this: the default MaxRecvDataSegmentLength, in force until full feature
  /// phase (RFC 7143 13.12).
  static constexpr std::size_t response_text_bytes_max = 8192;

  enum class State : std::uint8_t { start, security, operational, admitting, finished, refused };

  /// `host` must outlive the machine. `first_stat_sn`: of the connection; each response takes the next one.
  explicit LoginMachine(LoginHost& host, SerialNumber first_stat_sn = SerialNumber(1));
  LoginMachine(const LoginMachine&) = delete;
  LoginMachine& operator=(const LoginMachine&) = delete;

  /// A Login Request and its data segment (not kept).
  [[nodiscard]] LoginStep on_request(const LoginRequest& request, std::span<const std::byte> data);
  /// Any other PDU, or a malformed one, while the login lasts. The header tells the tag to answer with.
  [[nodiscard]] LoginStep on_other(BhsView header);
  /// The owner's verdict after Action::admit.
  [[nodiscard]] LoginStep admitted(const Admission& admission);
  /// The owner ends the login (draining, out of memory): a refusal with `status` to the last request. After it nothing.
  [[nodiscard]] LoginStep refuse(LoginStatus status, std::string_view reason);

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const LoginIdentity& identity() const noexcept { return identity_; }
  /// Agreed values; complete from Action::admit on.
  [[nodiscard]] const Parameters& parameters() const noexcept { return negotiator_.parameters(); }
  /// Ours, as the host gave it.
  [[nodiscard]] const Offer& offer() const noexcept { return access_.offer; }
  /// CmdSN of the login: the first command's number (RFC 7143 11.12.8); StatSN of the first response after the login.
  [[nodiscard]] SerialNumber cmd_sn() const noexcept { return request_.cmd_sn; }
  [[nodiscard]] SerialNumber next_stat_sn() const noexcept { return stat_sn_; }
  [[nodiscard]] unsigned exchanges() const noexcept { return exchanges_; }

 private:
  struct Refusal {
    LoginStatus status;
    std::string_view reason;
  };
  using Check = std::optional<Refusal>;  // nothing: go on

  [[nodiscard]] Check check_request(const LoginRequest& request) const;
  [[nodiscard]] Check check_stages(const LoginRequest& request) const;
  [[nodiscard]] Check process_text();
  [[nodiscard]] Check identify(std::span<const KeyValue> pairs);
  [[nodiscard]] Check authenticate(std::span<const KeyValue> keys);
  [[nodiscard]] Check refuse_authentication(LoginStatus status, std::string_view what) const;
  [[nodiscard]] LoginStep advance();
  [[nodiscard]] LoginStep respond(bool transit, LoginStep::Action action);
  [[nodiscard]] LoginStep refuse_with(Refusal refusal);
  [[nodiscard]] LoginResponse make_response();

  LoginHost& host_;
  State state_ = State::start;
  unsigned exchanges_ = 0;
  LoginRequest request_;  // the one being answered
  LoginIdentity identity_;
  LoginAccess access_;
  bool is_identified_ = false;
  bool is_authenticated_ = false;
  TextAssembler incoming_;
  TextBuilder outgoing_;
  Negotiator negotiator_;
  SerialNumber stat_sn_;
};

}  // namespace lunaris::iscsi
