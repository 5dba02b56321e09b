// Login of iscsi_load: two stages, text keys, several rounds where the target wants them.
#include "tests/bench/login.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>

namespace lunaris::bench {
namespace {

constexpr int login_rounds_max = 16;  // a target that still talks after that will not come to an end
constexpr std::uint8_t transit = 0x80;
constexpr std::uint8_t continued = 0x40;
constexpr std::uint8_t stage_security = 0;
constexpr std::uint8_t stage_operational = 1;
constexpr std::uint8_t stage_full_feature = 3;

void send_all(int fd, const std::vector<std::byte>& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw std::system_error(errno, std::generic_category(), "send");
    sent += static_cast<std::size_t>(n);
  }
}

void receive_exactly(int fd, std::byte* to, std::size_t wanted) {
  std::size_t got = 0;
  while (got < wanted) {
    const ssize_t n = ::recv(fd, to + got, wanted - got, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) throw std::runtime_error("the target closed the connection");
    if (n < 0) throw std::system_error(errno, std::generic_category(), "recv");
    got += static_cast<std::size_t>(n);
  }
}

int try_connect(const addrinfo& address) {
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (::connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    ::close(fd);
    return -1;
  }
  const int on = 1;
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

using Keys = std::map<std::string, std::string, std::less<>>;

void append_key(std::vector<std::byte>& text, std::string_view key, std::string_view value) {
  for (const std::string_view part : {key, std::string_view{"="}, value})
    for (const char c : part) text.push_back(static_cast<std::byte>(c));
  text.push_back(std::byte{0});
}

void parse_keys(const std::string& text, Keys& keys) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    const std::string pair = text.substr(at, end - at);
    const std::size_t equals = pair.find('=');
    if (equals != std::string::npos) keys[pair.substr(0, equals)] = pair.substr(equals + 1);
    at = end + 1;
  }
}

std::vector<std::byte> operational_keys(const Offer& offer) {
  std::vector<std::byte> text;
  const auto yes_no = [](bool yes) { return std::string_view{yes ? "Yes" : "No"}; };
  const auto digest = [](bool on) { return std::string_view{on ? "CRC32C" : "None"}; };
  append_key(text, "HeaderDigest", digest(offer.header_digest));
  append_key(text, "DataDigest", digest(offer.data_digest));
  append_key(text, "InitialR2T", yes_no(offer.initial_r2t));
  append_key(text, "ImmediateData", yes_no(offer.immediate_data));
  append_key(text, "MaxRecvDataSegmentLength", std::to_string(offer.recv_segment_max_bytes));
  append_key(text, "MaxBurstLength", std::to_string(offer.max_burst_bytes));
  append_key(text, "FirstBurstLength", std::to_string(std::min(offer.first_burst_bytes, offer.max_burst_bytes)));
  append_key(text, "MaxOutstandingR2T", std::to_string(offer.outstanding_r2t_max));
  append_key(text, "MaxConnections", "1");
  append_key(text, "DataPDUInOrder", "Yes");
  append_key(text, "DataSequenceInOrder", "Yes");
  append_key(text, "ErrorRecoveryLevel", "0");
  append_key(text, "DefaultTime2Wait", "2");
  append_key(text, "DefaultTime2Retain", "0");
  return text;
}

std::uint32_t number_of(const Keys& keys, std::string_view name, std::uint32_t otherwise) {
  const auto found = keys.find(name);
  if (found == keys.end()) return otherwise;
  try {
    return static_cast<std::uint32_t>(std::stoul(found->second, nullptr, 0));
  } catch (const std::exception&) {
    throw std::runtime_error("the target answered " + std::string(name) + "=" + found->second);
  }
}

bool yes_of(const Keys& keys, std::string_view name, bool otherwise) {
  const auto found = keys.find(name);
  return found == keys.end() ? otherwise : found->second == "Yes";
}

// The result of a minimum function cannot exceed what we offered (RFC 7143 section 6.2).
std::uint32_t minimum_of(const Keys& keys, std::string_view name, std::uint32_t offered) {
  const std::uint32_t answered = number_of(keys, name, offered);
  if (answered <= offered) return answered;
  throw std::runtime_error("the target raised " + std::string(name) + " to " + std::to_string(answered));
}

// InitialR2T is an OR of both sides, ImmediateData an AND: one value each decides alone.
void check_booleans(const Parameters& p, const Offer& offer) {
  if (offer.initial_r2t && !p.initial_r2t) throw std::runtime_error("the target answered No to InitialR2T=Yes");
  if (!offer.immediate_data && p.immediate_data)
    throw std::runtime_error("the target answered Yes to ImmediateData=No");
}

Parameters outcome(const Keys& keys, const Offer& offer) {
  Parameters p;
  const auto digest = [&](std::string_view name) {
    const auto found = keys.find(name);
    return found != keys.end() && found->second == "CRC32C";
  };
  p.header_digest = digest("HeaderDigest");
  p.data_digest = digest("DataDigest");
  if (p.header_digest != offer.header_digest || p.data_digest != offer.data_digest)
    throw std::runtime_error("the target did not accept the digests that were offered");
  p.initial_r2t = yes_of(keys, "InitialR2T", offer.initial_r2t);
  p.immediate_data = yes_of(keys, "ImmediateData", offer.immediate_data);
  check_booleans(p, offer);
  p.send_segment_max_bytes = number_of(keys, "MaxRecvDataSegmentLength", 8192);
  p.recv_segment_max_bytes = offer.recv_segment_max_bytes;
  p.max_burst_bytes = minimum_of(keys, "MaxBurstLength", offer.max_burst_bytes);
  p.first_burst_bytes = std::min(minimum_of(keys, "FirstBurstLength", offer.first_burst_bytes), p.max_burst_bytes);
  if (p.send_segment_max_bytes < 512 || p.max_burst_bytes < 512)
    throw std::runtime_error("the target answered a segment or burst length below 512");
  return p;
}

// One stage of one login; holds what every request of it repeats.
struct LoginDialogue {
  int fd;
  std::uint32_t isid_qualifier;
  Sequence& sequence;
  Keys keys{};

  // Sends `text` in stage `current` and goes on until the target agrees to enter `next`.
  void run_stage(std::uint8_t current, std::uint8_t next, std::vector<std::byte> text) {
    bool ask = true;
    for (int round = 0; round < login_rounds_max; ++round) {
      send_request(current, next, ask, text);
      const Pdu answer = receive_answer();
      const std::uint8_t flags = get8(answer.header.data() + 1);
      text.clear();
      ask = (flags & continued) == 0;
      if ((flags & transit) == 0) continue;
      if ((flags & 3U) != next) throw std::runtime_error("the target chose another login stage");
      return;
    }
    throw std::runtime_error("the login did not come to an end");
  }

  void send_request(std::uint8_t current, std::uint8_t next, bool ask, const std::vector<std::byte>& text) {
    Pdu request;
    auto* h = request.header.data();
    h[0] = static_cast<std::byte>(static_cast<std::uint8_t>(Opcode::login_request) | 0x40U);
    h[1] = static_cast<std::byte>((current << 2) | (ask ? transit | next : 0));
    set_data_length(request.header, static_cast<std::uint32_t>(text.size()));
    h[8] = std::byte{0x80};  // ISID of the random type
    put<std::uint32_t>(h + 10, isid_qualifier);
    put<std::uint32_t>(h + 24, sequence.cmd_sn);
    put<std::uint32_t>(h + 28, sequence.exp_stat_sn);
    request.data = text;
    send_pdu(fd, request, Parameters{});
  }

  Pdu receive_answer() {
    Pdu answer = receive_pdu(fd, Parameters{.recv_segment_max_bytes = 65536});
    if (opcode_of(answer.header) != Opcode::login_response) throw std::runtime_error("no Login Response");
    const auto* h = answer.header.data();
    const unsigned status = get<std::uint16_t>(h + 36);
    if (status != 0)
      throw std::runtime_error("login refused, status " + std::to_string(status >> 8) + "/" +
                               std::to_string(status & 0xffU) + " (class/detail)");
    sequence.exp_stat_sn = get<std::uint32_t>(h + 24) + 1;
    sequence.max_cmd_sn = get<std::uint32_t>(h + 32);
    std::string text;
    for (const std::byte byte : answer.data) text.push_back(static_cast<char>(byte));
    parse_keys(text, keys);
    return answer;
  }
};

}  // namespace

int connect_to(const Url& url, double wait_s) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(wait_s);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (failed != 0) throw std::runtime_error(url.host + ": " + ::gai_strerror(failed));
  int fd = -1;
  for (;;) {
    for (const addrinfo* one = found; one != nullptr && fd < 0; one = one->ai_next) fd = try_connect(*one);
    if (fd >= 0 || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ::freeaddrinfo(found);
  if (fd < 0) throw std::runtime_error("cannot connect to " + url.host + ":" + std::to_string(url.port));
  return fd;
}

void send_pdu(int fd, const Pdu& pdu, const Parameters& parameters) {
  std::vector<std::byte> bytes(pdu.header.begin(), pdu.header.end());
  const auto append_digest = [&](std::uint32_t digest) {
    bytes.resize(bytes.size() + 4);
    put_digest(bytes.data() + bytes.size() - 4, digest);
  };
  if (parameters.header_digest) append_digest(crc32c(pdu.header));
  std::vector<std::byte> data = pdu.data;
  data.resize(padded(static_cast<std::uint32_t>(data.size())));
  bytes.insert(bytes.end(), data.begin(), data.end());
  if (parameters.data_digest && !data.empty()) append_digest(crc32c(data));
  send_all(fd, bytes);
}

Pdu receive_pdu(int fd, const Parameters& parameters) {
  Pdu pdu;
  std::array<std::byte, 4> digest{};
  receive_exactly(fd, pdu.header.data(), header_bytes);
  if (parameters.header_digest) {
    receive_exactly(fd, digest.data(), digest.size());
    if (get_digest(digest.data()) != crc32c(pdu.header)) throw std::runtime_error("wrong header digest");
  }
  const std::uint32_t length = data_length_of(pdu.header);
  if (get8(pdu.header.data() + 4) != 0) throw std::runtime_error("unexpected additional header segment");
  if (length > parameters.recv_segment_max_bytes) throw std::runtime_error("data segment longer than we allow");
  pdu.data.resize(padded(length));
  receive_exactly(fd, pdu.data.data(), pdu.data.size());
  if (parameters.data_digest && length != 0) {
    receive_exactly(fd, digest.data(), digest.size());
    if (get_digest(digest.data()) != crc32c(pdu.data)) throw std::runtime_error("wrong data digest");
  }
  pdu.data.resize(length);
  return pdu;
}

Parameters log_in(int fd, const Url& url, const Options& options, unsigned session_index, Sequence& sequence) {
  const auto process = static_cast<std::uint32_t>(::getpid());
  LoginDialogue dialogue{.fd = fd, .isid_qualifier = (process << 10) + session_index, .sequence = sequence};
  std::vector<std::byte> identity;
  append_key(identity, "InitiatorName", options.initiator_name);
  append_key(identity, "SessionType", "Normal");
  append_key(identity, "TargetName", url.target_name);
  append_key(identity, "AuthMethod", "None");
  dialogue.run_stage(stage_security, stage_operational, identity);
  dialogue.run_stage(stage_operational, stage_full_feature, operational_keys(options.offer));
  return outcome(dialogue.keys, options.offer);
}

}  // namespace lunaris::bench
