// Reconciler: makes the live objects what the document says. Opens and closes volumes, builds the LUN maps, tells the
// transport. Every step that fails is reported and the others go on; what is right already is not touched.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/registry.h"
#include "server/config/model.h"
#include "server/control/state_store.h"
#include "server/runtime/file_ops.h"
#include "server/runtime/task.h"
#include "server/runtime/worker.h"
#include "server/scsi/logical_unit.h"
#include "server/scsi/nexus.h"
#include "server/transport.h"
#include "server/volume/volume.h"

namespace lunaris::control {

/// backends::open_backend, or a test's.
using OpenBackend = std::function<backends::Result<std::unique_ptr<backends::BlockDevice>>(
    const backends::OpenRequest& request, const boost::json::object& backend, std::string& reason)>;

/// A step of a reconciliation that could not be made.
struct StepFailure {
  std::string pointer;  // what of the document is not in force: "/volumes/db1"
  std::string reason;   // one sentence
  bool operator==(const StepFailure&) const = default;
};

/// A configured volume, open or not.
struct LiveVolume {
  config::Volume config;  // as it was opened
  config::Uuid uuid{};
  std::shared_ptr<volume::Volume> volume;          // null: not open
  std::shared_ptr<scsi_server::LogicalUnit> unit;  // null: not open
  std::string failure;                             // why it is not open, or not as configured
  std::string lost_reservations;                   // what is wrong with the stored ones; in force until replaced
};

/// Management worker only. One `reconcile` at a time; the caller sees to that. `close` before destruction.
class Reconciler {
 public:
  /// Volumes keep their reservations in the folder `reservations` of the data folder, by means of `files`.
  Reconciler(runtime::Worker& management, Transport& transport, OpenBackend open_backend, runtime::FileOps& files,
             std::string data_folder);
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;
  ~Reconciler();

  struct Options {
    /// Opens volumes again whose medium has failed: the operator says that it is good again.
    bool reopen_failed = false;
  };
  /// Marks in `records` the volumes that were opened for the first time. Both outlive the task.
  runtime::Task<std::vector<StepFailure>> reconcile(const config::Document& document,
                                                    std::map<std::string, VolumeRecord>& records, Options options);

  /// After the transport has stopped: closes every volume, flushed.
  runtime::Task<> close();

  [[nodiscard]] const std::map<std::string, LiveVolume>& volumes() const noexcept { return volumes_; }
  /// What the transport said about listeners it could not open.
  [[nodiscard]] const std::vector<std::string>& portal_failures() const noexcept { return portal_failures_; }

 private:
  using Records = std::map<std::string, VolumeRecord>;

  runtime::Task<> close_superfluous(const config::Document& document, const Records& records, Options options);
  void open_missing(const config::Document& document, Records& records);
  void open_one(const std::string& name, const config::Volume& wanted, VolumeRecord& record);
  runtime::Task<> adjust(std::string name, config::Volume wanted);
  runtime::Task<> publish_exports(std::shared_ptr<const Exports> exports);
  [[nodiscard]] std::shared_ptr<const Exports> exports_without(const std::vector<std::string>& closing) const;
  [[nodiscard]] std::shared_ptr<const Exports> exports_of(const config::Document& document) const;
  [[nodiscard]] std::shared_ptr<const scsi_server::LunMap> lun_map(const config::Document& document,
                                                                   const std::string& target,
                                                                   const config::Target& wanted) const;
  [[nodiscard]] InitiatorRule rule_of(const std::string& name, const ExportedTarget& target,
                                      const config::Initiator& wanted) const;
  runtime::Task<> apply_portals(const config::Document& document);

  runtime::Worker& management_;
  Transport& transport_;
  OpenBackend open_backend_;
  runtime::FileOps& files_;
  std::string data_folder_;
  std::map<std::string, LiveVolume> volumes_;
  std::shared_ptr<const Exports> exports_;
  std::vector<PortalSpec> portals_;
  std::vector<std::string> portal_failures_;
  bool portals_known_ = false;  // apply_portals has been called once
};

}  // namespace lunaris::control
