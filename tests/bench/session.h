// One iSCSI session with one connection: sends commands and data in batches, takes answers from one large receive.
// It checks everything the target says about sequence numbers, offsets and lengths, because it doubles as a second
// opinion on the protocol. Single-threaded; after construction nothing on the I/O path allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/bench/login.h"
#include "tests/bench/options.h"
#include "tests/bench/wire.h"

namespace lunaris::bench {

// The target broke the protocol; the run ends, since nothing after it can be trusted.
struct ProtocolError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One read or write, in units of Options::block_bytes.
struct Io {
  std::uint64_t unit = 0;
  bool write = false;
  std::uint32_t generation = 0;  // the stamp a write puts there; used by Workload only
};

enum class Verdict : std::uint8_t { good, again, failed };

struct Slot;
class Session;

// What a session tells its owner.
class Observer {
 public:
  virtual ~Observer() = default;
  // A command has ended with `good` or `failed`, or is to be issued again later (`again`, the slot stays taken).
  virtual void ended(Session& session, Slot& slot, Verdict verdict) = 0;
};

struct Slot {
  Io io;
  std::uint64_t issued_ns = 0;
  std::uint32_t received_bytes = 0;
  std::uint32_t data_sn = 0;  // of Data-In
  std::uint32_t r2t_sn = 0;
  std::uint32_t requested_bytes = 0;  // of a write: unsolicited data and what R2Ts asked for
  std::uint16_t turn = 0;             // upper half of the task tag, so that a stale answer is recognised
  std::uint16_t index = 0;
  bool busy = false;
  std::byte* buffer = nullptr;  // block_bytes of write data, or of read data when contents are kept
};

struct CommandResult {
  std::uint8_t status = 0;  // SAM status
  std::vector<std::byte> data;
  std::vector<std::byte> sense;
};

// Why commands did not simply succeed.
struct Troubles {
  std::uint64_t busy = 0;
  std::uint64_t task_set_full = 0;
  std::uint64_t unit_attention = 0;
  std::uint64_t errors = 0;
  std::string first_error;
};

class Session {
 public:
  // Connects, logs in, clears unit attentions and reads the capacity. `keep_data` copies read data into Slot::buffer.
  Session(const Url& url, const Options& options, unsigned index, bool keep_data, Observer& observer);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int fd() const { return fd_; }
  std::uint64_t capacity_bytes() const { return block_count_ * block_size_; }
  std::uint32_t block_size() const { return block_size_; }
  const Parameters& parameters() const { return parameters_; }
  const Troubles& troubles() const { return troubles_; }
  std::uint64_t ended_count() const { return ended_count_; }
  void forget_count() { ended_count_ = 0; }

  unsigned in_flight() const { return in_flight_; }
  // The next slot to fill when the queue depth and the target's command window allow a command; else nullptr.
  Slot* free_slot();
  // Queues the command of `slot`, whose io (and buffer, for a write) the caller has filled. flush() sends it.
  void issue(Slot& slot, std::uint64_t now_ns);
  // Queues again what ended with Verdict::again.
  void reissue_delayed(std::uint64_t now_ns);
  bool has_delayed() const { return !delayed_.empty(); }

  // Sends what is queued; returns false when the socket is full and writability must be awaited.
  bool flush();
  // One receive and everything that follows from it.
  void receive();
  void log_out();
  std::size_t workload_index = 0;  // the owner's: which logical unit this session works on

 private:
  struct TxPdu {
    std::array<std::byte, header_bytes + 4> header;
    std::array<std::byte, 8> trailer;  // padding and data digest
    const std::byte* data;
    std::uint32_t header_size;
    std::uint32_t data_size;
    std::uint32_t trailer_size;
  };

  CommandResult execute(std::span<const std::byte> cdb, std::uint32_t in_bytes);
  void clear_unit_attentions();
  void read_capacity();
  void make_buffers(const Options& options, bool keep_data);

  TxPdu& queue(const std::byte* data, std::uint32_t size);
  void seal(TxPdu& pdu);
  bool drop_sent(std::size_t sent);
  void send_data(Slot& slot, std::uint32_t offset, std::uint32_t length, std::uint32_t transfer_tag);
  void write_command(Header& header, const Slot& slot) const;
  std::uint32_t tag_of(const Slot& slot) const { return (std::uint32_t{slot.turn} << 16) | slot.index; }

  bool take_header();
  bool take_body();
  void dispatch(const std::byte* data, std::uint32_t length);
  void note_sequence(bool carries_status);
  Slot& slot_of(std::uint32_t tag);
  void on_data_in(const std::byte* data, std::uint32_t length);
  void on_response(const std::byte* data, std::uint32_t length);
  void on_r2t();
  void on_nop_in(const std::byte* data, std::uint32_t length);
  void finish(Slot& slot, std::uint8_t status, std::span<const std::byte> sense);
  void note_error(const Slot& slot, const std::string& what);

  Url url_;
  Observer& observer_;
  int fd_ = -1;
  Parameters parameters_;
  Sequence sequence_;
  Troubles troubles_;
  std::uint32_t block_bytes_;
  std::uint32_t block_size_ = 512;
  std::uint64_t block_count_ = 0;
  bool keep_data_;

  std::vector<Slot> slots_;
  std::vector<std::uint16_t> free_;     // indices; the last one is taken next
  std::vector<std::uint16_t> delayed_;  // indices of commands to issue again
  std::vector<std::byte> buffers_;
  unsigned in_flight_ = 0;
  std::uint64_t ended_count_ = 0;

  std::vector<TxPdu> tx_;  // a ring; its size is a power of two
  std::size_t tx_head_ = 0;
  std::size_t tx_tail_ = 0;
  std::size_t tx_sent_of_head_ = 0;
  std::array<std::byte, 256> pong_{};  // data of the last NOP-In to be echoed

  std::vector<std::byte> rx_;
  std::size_t rx_at_ = 0;
  std::size_t rx_end_ = 0;
  Header current_{};
  bool in_body_ = false;
  bool skip_body_ = false;
  std::uint32_t body_left_ = 0;
};

}  // namespace lunaris::bench
