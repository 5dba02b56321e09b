// CommandTask: one SCSI command of a session, from its PDU to its response. Moves the command's data (DataMover) and
// puts its R2Ts, Data-Ins and status in line (PduSource). Made and reused by Session.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "protocol/iscsi/pdu.h"
#include "protocol/iscsi/read_transfer.h"
#include "protocol/iscsi/write_transfer.h"
#include "server/data_mover.h"
#include "server/iscsi/end_event.h"
#include "server/iscsi/out_queue.h"
#include "server/iscsi/receive_buffer.h"
#include "server/runtime/worker.h"
#include "server/scsi/command.h"

namespace lunaris::iscsi_server {

class Session;

/// Somebody who waits for the end of a task (a task management function). Lives in the waiter's frame.
struct TaskEndListener {
  EndEvent ended;
  TaskEndListener* next = nullptr;
};

/// Belongs to one session and is used again and again; nothing is allocated per command.
///
///            begin            start               execute returned        last PDU in a batch
///   [free] --------> [arriving] ------> [running] --------------> [answering] ------------> [free]
///                       |  ^ data of the command PDU,   |  abort: no answer
///                       v  | or its turn                +----------------------------------> [free]
///                     [held]
///
/// Data-Out lands in one of two places: immediate data stays in the receive chunk, everything else goes straight into
/// the landing, a buffer that covers [landing_begin, + size) of the command's data.
class CommandTask final : public DataMover, public PduSource {
 public:
  enum class Phase : std::uint8_t { free, arriving, held, running, answering };

  CommandTask(Session& session, std::uint16_t index) noexcept : session_(session), index_(index) {}
  ~CommandTask() override;

  // --- by Session -----------------------------------------------------------------------------------------------
  /// Takes the command over; what is wrong with it is remembered and becomes its status.
  void begin(const iscsi::ScsiCommand& pdu, std::uint64_t now_ns);
  /// The immediate data lies at `data`, in `chunk`; used there.
  void take_immediate_in_place(std::span<const std::byte> data, ChunkRef chunk) noexcept;
  /// Memory for `length` bytes of immediate data that cannot stay where they are. Empty: there is none, or nobody wants
  /// them.
  [[nodiscard]] std::span<std::byte> immediate_destination(std::uint32_t length) noexcept;
  /// Whether memory for the unsolicited data exists; without it the command ends BUSY.
  void prepare_for_unsolicited() noexcept;
  /// The command PDU is complete.
  void immediate_arrived(std::uint32_t length) noexcept { arrived_ = length; }
  /// A Data-Out for this task: where its data belongs; empty when it is to be discarded.
  [[nodiscard]] std::span<std::byte> data_out(const iscsi::DataOut& pdu) noexcept;
  /// The memory that data_out or immediate_destination gave is being filled until this is called.
  void filled(bool intact) noexcept;
  /// Ends the command with CHECK CONDITION, ABORTED COMMAND and this additional sense.
  void fail(scsi::AdditionalSense additional) noexcept;

  /// Runs the command to its end. Spawned through the session's gate.
  runtime::Task<> run();
  /// No answer will be sent; waits inside end soon. The task ends by itself.
  void abort() noexcept;
  /// Wakes the task if it waits for data or room; it looks again at what it waits for.
  void wake() noexcept { wake_.set(); }
  void listen(TaskEndListener& listener) noexcept;

  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  void set_phase(Phase phase) noexcept { phase_ = phase; }
  [[nodiscard]] std::uint16_t index() const noexcept { return index_; }
  [[nodiscard]] std::uint32_t tag() const noexcept { return tag_; }
  [[nodiscard]] std::uint64_t lun() const noexcept { return command_.lun; }
  [[nodiscard]] iscsi::SerialNumber cmd_sn() const noexcept { return cmd_sn_; }
  [[nodiscard]] bool is_immediate() const noexcept { return immediate_command_; }
  [[nodiscard]] bool is_aborted() const noexcept { return command_.aborted; }
  [[nodiscard]] bool has_failed() const noexcept { return failed_; }
  [[nodiscard]] bool has_landing() const noexcept { return static_cast<bool>(landing_); }
  [[nodiscard]] scsi_server::Command& command() noexcept { return command_; }
  /// What the command counts for against limits::data_in_motion_bytes.
  [[nodiscard]] std::uint32_t motion_bytes() const noexcept;
  /// Data has been asked for (or promised) and none has come since this time; 0 when none is due.
  [[nodiscard]] std::uint64_t waiting_for_data_since_ns() const noexcept;

  /// Its answer has given its place in the window back.
  [[nodiscard]] bool has_left_window() const noexcept { return left_window_; }
  void set_left_window() noexcept { left_window_ = true; }

  CommandTask* next_in_list = nullptr;  // Session's lists: free, held, waiting for room

  // --- DataMover ------------------------------------------------------------------------------------------------
  runtime::Task<MoveOutcome> send(std::uint64_t offset, backends::Payload payload) override;
  runtime::Task<Received> receive(std::uint64_t offset, std::uint32_t length) override;
  void give_up() noexcept override { wake_.set(); }

 private:
  struct Outgoing {
    std::uint64_t offset = 0;
    backends::Payload payload;
    [[nodiscard]] std::uint64_t end() const noexcept { return offset + payload.size_bytes(); }
  };
  static constexpr std::size_t outgoing_max = 2;

  [[nodiscard]] bool is_over() const noexcept { return command_.aborted || failed_; }
  [[nodiscard]] MoveOutcome over_outcome() const noexcept {
    return command_.aborted ? MoveOutcome::aborted : MoveOutcome::failed;
  }
  [[nodiscard]] bool is_quiet() const noexcept;
  [[nodiscard]] bool landing_covers(std::uint32_t begin, std::uint32_t end) const noexcept;
  runtime::Task<bool> claim(std::uint32_t begin, std::uint32_t end);
  void set_fault(iscsi::WriteFault fault) noexcept;
  void drop_outgoing() noexcept;
  void finish() noexcept;
  void tell_listeners() noexcept;

  Next produce(Batch& batch) override;
  void produce_r2ts(Batch& batch);
  [[nodiscard]] bool produce_data(Batch& batch, std::uint32_t& burst);
  void produce_response(Batch& batch);
  [[nodiscard]] iscsi::ReadEnding ending() const noexcept;

  Session& session_;
  scsi_server::Command command_;
  std::array<std::uint8_t, 16> cdb_{};
  std::unique_ptr<std::array<std::uint8_t, scsi_server::Command::cdb_bytes_max>> long_cdb_;
  std::uint32_t tag_ = 0;
  std::uint32_t expected_length_ = 0;
  iscsi::SerialNumber cmd_sn_;
  std::uint16_t index_;
  Phase phase_ = Phase::free;
  bool immediate_command_ = false;
  bool reads_ = false;
  bool writes_ = false;
  bool left_window_ = false;
  bool finished_ = false;    // the outcome is final
  bool failed_ = false;      // the transport has set the outcome: failure_
  bool discarding_ = false;  // nobody will ask for more Data-Out
  bool filling_ = false;     // the connection reads into our memory
  scsi::AdditionalSense failure_;
  scsi::Status failure_status_ = scsi::Status::check_condition;

  iscsi::WriteTransfer write_;
  std::span<const std::byte> immediate_;  // in chunk_
  ChunkRef chunk_;
  runtime::BufferLease landing_;
  std::uint32_t landing_begin_ = 0;
  std::uint32_t arrived_ = 0;  // [0, arrived_) is here and its digests were right
  std::uint64_t last_data_ns_ = 0;

  iscsi::ReadTransfer read_;
  std::array<Outgoing, outgoing_max> outgoing_;
  std::size_t outgoing_count_ = 0;

  runtime::Signal wake_;
  TaskEndListener* listeners_ = nullptr;
};

}  // namespace lunaris::iscsi_server
