// Parameters: the result of a negotiation, and (as a whole) what we offer. Defaults are RFC 7143 section 13's, which
// hold until a key says otherwise.
#pragma once

#include <cstdint>
#include <string>

namespace lunaris::iscsi {

enum class SessionType : std::uint8_t { normal, discovery };

/// What we may agree to for one digest, best first.
enum class DigestPolicy : std::uint8_t {
  allow,    // take whatever the initiator puts first
  prefer,   // CRC32C if the initiator offers it at all
  require,  // CRC32C, or the key is rejected and the login fails
  refuse,   // None, or the key is rejected and the login fails
};

/// RFC 7143 section 13, one member per key that leaves something behind. Sizes in bytes, times in seconds.
struct Parameters {
  // declared
  std::string initiator_name;  // normalised (names.h)
  std::string initiator_alias;
  std::string target_name;  // normalised; empty in a discovery session
  SessionType session_type = SessionType::normal;
  /// The initiator's: what we may send in one PDU. Ours is Offer::max_recv_data_segment_length.
  std::uint32_t initiator_max_recv_data_segment_length = 8192;

  // negotiated
  bool header_digest = false;
  bool data_digest = false;
  std::uint32_t max_connections = 1;
  bool initial_r2t = true;
  bool immediate_data = true;
  std::uint32_t max_burst_length = 262144;
  std::uint32_t first_burst_length = 65536;
  std::uint32_t default_time2wait_s = 2;
  std::uint32_t default_time2retain_s = 20;
  std::uint32_t max_outstanding_r2t = 1;
  bool data_pdu_in_order = true;
  bool data_sequence_in_order = true;
  std::uint32_t error_recovery_level = 0;
  /// RFC 7144: 1 unless both sides said at least 2.
  std::uint32_t protocol_level = 1;
};

/// Our side of the negotiation: what a target is willing to do.
struct Offer {
  DigestPolicy header_digest = DigestPolicy::allow;
  DigestPolicy data_digest = DigestPolicy::allow;
  std::uint32_t max_connections = 1;                    // up to 8 once sessions span connections
  bool initial_r2t = false;                             // OR: true forces R2T
  bool immediate_data = true;                           // AND: false forbids it
  std::uint32_t max_recv_data_segment_length = 262144;  // what we receive in one PDU
  std::uint32_t max_burst_length = 1048576;
  std::uint32_t first_burst_length = 262144;
  std::uint32_t default_time2wait_s = 2;
  std::uint32_t default_time2retain_s = 0;  // ErrorRecoveryLevel 0 keeps nothing
  std::uint32_t max_outstanding_r2t = 16;
  std::uint32_t error_recovery_level = 0;
  std::uint32_t protocol_level = 2;
  std::string target_alias;
  std::uint16_t portal_group_tag = 1;
};

}  // namespace lunaris::iscsi
