// SimTarget: a whole iSCSI target in a simulated world: workers, a volume on a SimMedium, one exported target, and the
// door through which simulated initiators connect.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/iscsi/iscsi_transport.h"
#include "server/scsi/logical_unit.h"
#include "server/scsi/nexus.h"
#include "server/volume/volume.h"
#include "tests/sim/sim_device.h"
#include "tests/sim/sim_stream.h"
#include "tests/sim/sim_worker.h"

namespace lunaris::sim {

inline const std::string target_name = "iqn.2026-01.io.example:sim";
inline constexpr std::uint32_t block_bytes = 512;

struct SimTargetOptions {
  unsigned workers = 2;
  std::size_t volume_bytes = std::size_t{8} << 20;
  std::size_t buffer_bytes = std::size_t{64} << 20;
  iscsi_server::IscsiOptions iscsi;
};

class SimTarget {
 public:
  explicit SimTarget(SimWorld& world, SimTargetOptions options = {});
  ~SimTarget();
  SimTarget(const SimTarget&) = delete;
  SimTarget& operator=(const SimTarget&) = delete;

  /// A connection to the target, from `address`; null when it was turned away.
  [[nodiscard]] std::unique_ptr<SimPeer> connect(SimLink link = {}, const std::string& address = "192.0.2.10");
  [[nodiscard]] SimWorld& world() noexcept { return world_; }
  [[nodiscard]] SimMedium& medium() noexcept { return *medium_; }
  [[nodiscard]] iscsi_server::IscsiTransport& transport() noexcept { return *transport_; }
  [[nodiscard]] runtime::Worker& management() noexcept { return *management_; }
  [[nodiscard]] runtime::Worker& worker(unsigned index) noexcept { return *workers_[index]; }
  [[nodiscard]] unsigned worker_count() const noexcept { return static_cast<unsigned>(workers_.size()); }
  [[nodiscard]] std::vector<SessionInfo> sessions();
  /// Buffers in use on all workers: 0 when nothing runs.
  [[nodiscard]] std::size_t bytes_in_use() const;
  [[nodiscard]] std::shared_ptr<scsi_server::LunMap> make_luns(std::vector<std::uint16_t> numbers) const;
  void apply(std::shared_ptr<const Exports> exports);
  [[nodiscard]] LoginFailures login_failures();
  [[nodiscard]] static std::shared_ptr<Exports> make_exports(std::shared_ptr<const scsi_server::LunMap> luns);
  /// Ends everything; called by the destructor if not before. False when something hangs.
  bool stop(std::uint32_t grace_ms = 0);

 private:
  SimWorld& world_;
  std::unique_ptr<runtime::Worker> management_;
  std::vector<std::unique_ptr<runtime::Worker>> workers_;
  std::shared_ptr<SimMedium> medium_;
  std::shared_ptr<volume::Volume> volume_;
  std::shared_ptr<scsi_server::LogicalUnit> unit_;
  std::unique_ptr<iscsi_server::IscsiTransport> transport_;
  bool stopped_ = false;
};

}  // namespace lunaris::sim
