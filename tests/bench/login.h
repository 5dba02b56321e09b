// Connecting and logging in, one blocking exchange at a time; used by Session before its measured life begins.
// Failures throw std::runtime_error with a sentence: a load generator that cannot log in has nothing else to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/wire.h"

namespace lunaris::bench {

// The outcome of negotiation (RFC 7143 section 13).
struct Parameters {
  bool header_digest = false;
  bool data_digest = false;
  bool initial_r2t = true;
  bool immediate_data = true;
  std::uint32_t send_segment_max_bytes = 8192;  // the target's MaxRecvDataSegmentLength; 8192 when it does not say
  std::uint32_t recv_segment_max_bytes = 8192;  // ours
  std::uint32_t max_burst_bytes = 262144;
  std::uint32_t first_burst_bytes = 65536;
};

// Sequence numbers of a connection (RFC 7143 section 4.2.2).
struct Sequence {
  std::uint32_t cmd_sn = 1;
  std::uint32_t max_cmd_sn = 1;
  std::uint32_t exp_stat_sn = 0;
};

struct Pdu {
  Header header{};
  std::vector<std::byte> data;
};

// A connected TCP socket with a receive and send time limit of 10 s; keeps trying for `wait_s`.
int connect_to(const Url& url, double wait_s);

void send_pdu(int fd, const Pdu& pdu, const Parameters& parameters);
Pdu receive_pdu(int fd, const Parameters& parameters);

// Logs into a normal session with AuthMethod=None. `session_index` makes the ISID unique within the process.
Parameters log_in(int fd, const Url& url, const Options& options, unsigned session_index, Sequence& sequence);

}  // namespace lunaris::bench
