// Volume: a block device with a name, an identity and a state, whatever transport shows it. A SCSI logical unit (later
// an NVMe namespace) is a view of one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/block_device.h"
#include "server/runtime/file_ops.h"
#include "server/runtime/gate.h"
#include "server/runtime/worker.h"
#include "server/volume/range_lock.h"
#include "server/volume/reservations.h"

namespace lunaris::volume {

/// Who the volume is, for ever: shown to initiators as serial number and designators (SPC-5 7.7.6).
struct Identity {
  std::string name;                     // the administrator's, [a-z0-9][a-z0-9._:-]{0,62}
  std::array<std::uint8_t, 16> uuid{};  // everything else derives from it
  std::string vendor = "LUNARIS";       // 8 printable characters at most
  std::string product;                  // 16; empty: "VOLUME"
  std::string serial;                   // 32; empty: the UUID in hexadecimal
};

enum class Health : std::uint8_t {
  online,
  failed /* a flush failed or the device is gone; reopened by the operator */,
  offline
};

/// An immutable snapshot of everything a command must agree with. A new one is published; the old one ends when the
/// last command that started under it has ended.
struct View {
  std::uint64_t generation = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t block_bytes = 512;  // logical block: 512 or 4096
  std::uint32_t physical_block_bytes = 4096;
  bool read_only = false;
  bool removable = false;  // shown as a drive whose medium can be taken out
  Health health = Health::online;
  std::string health_reason;  // in words, when not online
  /// Null while nobody has reserved the volume. The volume sets it, whatever a view that is published says.
  std::shared_ptr<const ReservationTable> reservation;
  [[nodiscard]] std::uint64_t block_count() const noexcept { return size_bytes / block_bytes; }
};

/// Counters of one worker's port; written by that worker only, read by anybody (relaxed).
struct PortCounters {
  std::atomic<std::uint64_t> reads{0}, writes{0}, read_bytes{0}, written_bytes{0}, flushes{0}, discards{0}, errors{0};
};

class Turnstile;
class Volume;

/// A worker's own way into a volume. Belongs to that worker; lives as long as the volume.
class Port {
 public:
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  ~Port();

  /// What a command holds while it runs: the view it agreed with, and the promise that it stays in force.
  class Pass {
   public:
    [[nodiscard]] const View& view() const noexcept { return *view_; }
    [[nodiscard]] Port& port() const noexcept { return *port_; }

   private:
    friend class Port;
    Pass(Port& port, const View& view, runtime::Gate::Pass pass) noexcept
        : port_(&port), view_(&view), pass_(std::move(pass)) {}
    Port* port_;
    const View* view_;
    runtime::Gate::Pass pass_;
  };
  /// Nothing only when the volume is closing. Costs one relaxed load beside the gate; when a newer view is out, the
  /// command gets that one, without waiting for `publish` to come round.
  [[nodiscard]] std::optional<Pass> enter();

  /// The view of the command that entered last.
  [[nodiscard]] const View& view() const noexcept;
  [[nodiscard]] backends::BlockChannel& channel() noexcept { return *channel_; }
  [[nodiscard]] Volume& volume() noexcept { return volume_; }
  [[nodiscard]] PortCounters& counters() noexcept { return counters_; }
  /// Where every device call that is not made under an ExclusiveRange announces itself.
  [[nodiscard]] RangeUses& uses() noexcept { return uses_; }

 private:
  friend class Volume;
  struct Epoch;  // a view with the gate of the commands under it
  Port(Volume& volume, runtime::Worker& worker, std::unique_ptr<backends::BlockChannel> channel,
       std::shared_ptr<const View> view);
  /// Makes the newest view the current one; the old epoch waits in retired_ for its last command.
  void take_newest();
  runtime::Task<> drain_retired();
  /// Takes the newest view without waiting for anybody.
  void adopt();
  /// On the port's worker: true when the commands of every view before `generation` have ended.
  runtime::Task<bool> switch_to(std::uint64_t generation);
  /// On the port's worker: lets nobody in any more.
  void shut();
  /// On the port's worker, after `shut`: true when all commands have ended and the channel is gone.
  runtime::Task<bool> close();

  Volume& volume_;
  runtime::Worker& worker_;
  std::unique_ptr<backends::BlockChannel> channel_;
  std::unique_ptr<Epoch> epoch_;
  std::vector<std::unique_ptr<Epoch>> retired_;  // oldest first
  unsigned drains_ = 0;                          // drain_retired that are running
  PortCounters counters_;
  RangeUses uses_;
};

/// Created and closed on the management worker, which outlives it, as do the workers that have ports; `port`, `view`
/// and `fail` as said. Lives until `close` has returned.
class Volume {
 public:
  Volume(runtime::Worker& management, Identity identity, std::unique_ptr<backends::BlockDevice> device,
         View first_view);
  ~Volume();  // asserts that it is closed
  Volume(const Volume&) = delete;
  Volume& operator=(const Volume&) = delete;

  [[nodiscard]] const Identity& identity() const noexcept { return identity_; }
  [[nodiscard]] const backends::Geometry& geometry() const noexcept { return device_->geometry(); }

  /// This worker's port, opened on first use. On `worker` itself.
  backends::Result<Port*> port(runtime::Worker& worker);

  /// Management worker: every port gets `view`; returns when each has drained the commands of the old ones. The volume
  /// numbers the generations, and a failed volume stays failed, whatever `view` says: it is closed and opened anew.
  /// Several calls at once are served one after the other.
  runtime::Task<> publish(View view);
  /// The newest one. Any thread.
  [[nodiscard]] std::shared_ptr<const View> view() const;

  /// Any worker: the medium broke its promise (a failed flush, a vanished device). New commands see Health::failed, on
  /// this worker at once, on others as soon as they notice. The first reason stays.
  void fail(std::string reason);

  /// Management worker: grows the device (blocking), then publishes the new size. out_of_range: not a multiple of the
  /// logical block; not_supported: smaller than it is.
  runtime::Task<backends::Result<>> resize(std::uint64_t size_bytes);
  /// Reservations live through a restart from here on: those stored in `folder`/`name` are in force. Once, before the
  /// first port. Not empty: they cannot be read, in words; the volume refuses its users until they are replaced.
  [[nodiscard]] std::string keep_reservations(runtime::FileOps& files, std::string folder, std::string name);
  /// Any thread.
  [[nodiscard]] bool keeps_reservations() const noexcept;
  /// The table in force, never null. Any thread.
  [[nodiscard]] std::shared_ptr<const ReservationTable> reservations() const;
  /// Management worker: who changes reservations enters it first and leaves it when all workers know.
  [[nodiscard]] Turnstile& reservation_turn() noexcept;
  /// Management worker, in its turn (blocking when they are kept): new commands on any worker get the outcome with
  /// their view, once that worker has been told to `refresh`. Commands that are running are not waited for: one that
  /// hangs must not keep a cluster from fencing.
  [[nodiscard]] ReservationOutcome change_reservations(const ReservationRequest& request);
  /// On `worker` itself: its port, if it has one, takes the newest view.
  void refresh(runtime::Worker& worker);
  [[nodiscard]] runtime::Worker& management() const noexcept { return management_; }
  [[nodiscard]] std::uint64_t allocated_bytes() const { return device_->allocated_bytes(); }

  [[nodiscard]] RangeLock& range_lock() noexcept { return range_lock_; }
  /// Any worker, for ExclusiveRange: returns when the ordinary calls that overlap `range` have ended on every worker.
  runtime::Task<> drain_uses(backends::ByteRange range);

  /// Management worker: lets nobody in, waits for everybody, closes the channels on their workers and the device.
  runtime::Task<> close();

  /// Management worker: sums over all ports.
  struct Totals {
    std::uint64_t reads = 0, writes = 0, read_bytes = 0, written_bytes = 0, flushes = 0, discards = 0, errors = 0;
  };
  [[nodiscard]] Totals totals() const;

 private:
  friend class Port;
  struct Ports;
  /// Numbers `view` and makes it the newest; ports notice by its generation. With the ports' mutex held.
  std::uint64_t set_newest(View view);
  void adopt_reservations(ReservationTable table);
  [[nodiscard]] std::uint64_t newest_generation() const noexcept;
  runtime::Task<> publish_in_turn(View view);

  runtime::Worker& management_;
  Identity identity_;
  std::unique_ptr<backends::BlockDevice> device_;
  RangeLock range_lock_;
  std::unique_ptr<Ports> ports_;
};

}  // namespace lunaris::volume
