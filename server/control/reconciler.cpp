// The steps from the live objects to the document, in an order in which sessions never see what is half done: first
// unmap what goes, close it, open what comes, then map that.
#include "server/control/reconciler.h"

#include <algorithm>
#include <utility>

#include "server/config/problem.h"
#include "server/config/values.h"
#include "server/observe/log.h"
#include "server/runtime/assert.h"

namespace lunaris::control {

using runtime::Task;

namespace {

observe::Logger& log = observe::logger("control");

volume::View view_of(const config::Volume& wanted, const backends::Geometry& geometry) {
  volume::View view;
  view.generation = 1;
  view.size_bytes = wanted.size_bytes != 0 ? wanted.size_bytes : geometry.size_bytes;
  view.size_bytes -= view.size_bytes % wanted.block_bytes;
  view.block_bytes = wanted.block_bytes;
  view.physical_block_bytes = wanted.physical_block_bytes;
  view.read_only = wanted.read_only || geometry.read_only;
  view.removable = wanted.removable;
  return view;
}

/// Why a device cannot be the volume that is wanted; empty when it can.
std::string misfit(const config::Volume& wanted, const backends::Geometry& geometry) {
  if (geometry.size_bytes < wanted.size_bytes) {
    return "the device has " + config::size_text(geometry.size_bytes) + " and not the configured " +
           config::size_text(wanted.size_bytes) + "; correct \"size\" or enlarge the device.";
  }
  if (wanted.block_bytes % geometry.io_alignment != 0) {
    return "the device can only be used in units of " + std::to_string(geometry.io_alignment) +
           " bytes; set \"block_size\" to 4096.";
  }
  if (geometry.size_bytes < wanted.block_bytes) return "the device is empty; give the volume a \"size\".";
  return "";
}

/// Whether the volume must be closed and opened again to become what is wanted.
bool must_reopen(const LiveVolume& live, const config::Volume& wanted, const config::Uuid& uuid) {
  if (live.uuid != uuid || live.config.backend != wanted.backend) return true;
  if (live.config.block_bytes != wanted.block_bytes) return true;
  if (live.config.physical_block_bytes != wanted.physical_block_bytes) return true;
  if (live.config.removable != wanted.removable) return true;
  if (live.config.serial != wanted.serial || live.config.product != wanted.product) return true;
  return live.volume && live.volume->geometry().read_only && live.config.read_only && !wanted.read_only;
}

bool same(const Exports& left, const Exports& right) {
  return left.targets == right.targets && left.discovery_auth == right.discovery_auth;
}

bool same(const scsi_server::LunMap& left, const scsi_server::LunMap& right) {
  if (left.target_ports != right.target_ports) return false;
  return std::ranges::equal(left.entries, right.entries, [](const auto& l, const auto& r) {
    return l.first == r.first && l.second.unit == r.second.unit && l.second.read_only == r.second.read_only;
  });
}

PortalSpec::Advertise advertise_of(config::Portal::Advertise advertise) {
  switch (advertise) {
    case config::Portal::Advertise::automatic:
      return PortalSpec::Advertise::automatic;
    case config::Portal::Advertise::list:
      return PortalSpec::Advertise::list;
    case config::Portal::Advertise::omit:
      return PortalSpec::Advertise::omit;
  }
  return PortalSpec::Advertise::automatic;
}

/// The target ports: one for each portal group that the target is reached through.
std::vector<std::uint16_t> target_ports(const config::Document& document, const config::Target& target) {
  std::vector<std::uint16_t> ports;
  for (const auto& [name, portal] : document.portals) {
    const bool is_used = target.portals.empty() || std::ranges::find(target.portals, name) != target.portals.end();
    if (is_used && std::ranges::find(ports, portal.group_tag) == ports.end()) ports.push_back(portal.group_tag);
  }
  return ports;
}

std::optional<ChapAccount> account_of(const std::optional<config::ChapAccount>& account) {
  if (!account) return {};
  return ChapAccount{account->username, account->secret};
}

AuthSpec auth_of(const config::Auth& auth) {
  AuthSpec spec;
  for (const config::ChapAccount& account : auth.chap) spec.users.push_back({account.username, account.secret});
  spec.mutual = account_of(auth.mutual);
  for (const config::ChapAlgorithm algorithm : auth.chap_algorithms)
    spec.algorithms.push_back(static_cast<std::uint8_t>(algorithm));
  return spec;
}

/// What is left of `all` for one initiator.
std::shared_ptr<const scsi_server::LunMap> narrowed(const scsi_server::LunMap& all,
                                                    const std::map<std::uint16_t, config::InitiatorLun>& wanted) {
  auto luns = std::make_shared<scsi_server::LunMap>();
  luns->target_ports = all.target_ports;
  for (const auto& [number, lun] : wanted) {
    const auto entry = all.entries.find(number);
    if (entry != all.entries.end())
      luns->entries[number] = {entry->second.unit, entry->second.read_only || lun.read_only};
  }
  return luns;
}

std::string volume_pointer(const std::string& name) {
  return config::below("/volumes", name);
}

}  // namespace

Reconciler::Reconciler(runtime::Worker& management, Transport& transport, OpenBackend open_backend,
                       runtime::FileOps& files, std::string data_folder)
    : management_(management),
      transport_(transport),
      open_backend_(std::move(open_backend)),
      files_(files),
      data_folder_(std::move(data_folder)),
      exports_(std::make_shared<const Exports>()) {}

Reconciler::~Reconciler() {
  LUN_ASSERT(volumes_.empty());
}

Task<std::vector<StepFailure>> Reconciler::reconcile(const config::Document& document, Records& records,
                                                     Options options) {
  co_await close_superfluous(document, records, options);
  open_missing(document, records);
  for (const auto& [name, wanted] : document.volumes) co_await adjust(name, wanted);
  co_await publish_exports(exports_of(document));
  co_await apply_portals(document);

  std::vector<StepFailure> failures;
  for (const auto& [name, live] : volumes_) {
    if (!live.failure.empty()) failures.push_back({volume_pointer(name), live.failure});
  }
  for (const std::string& reason : portal_failures_) failures.push_back({"/portals", reason});
  co_return failures;
}

Task<> Reconciler::close_superfluous(const config::Document& document, const Records& records, Options options) {
  std::vector<std::string> closing;
  for (const auto& [name, live] : volumes_) {
    const auto wanted = document.volumes.find(name);
    const bool has_failed = live.volume && live.volume->view()->health != volume::Health::online;
    if (wanted == document.volumes.end() || must_reopen(live, wanted->second, records.at(name).uuid) ||
        (has_failed && options.reopen_failed)) {
      closing.push_back(name);
    }
  }
  if (closing.empty()) co_return;
  // Sessions let go of the units first; afterwards nobody can reach the volumes.
  co_await publish_exports(exports_without(closing));
  for (const std::string& name : closing) {
    LiveVolume live = std::move(volumes_.extract(name).mapped());
    if (!live.volume) continue;
    co_await live.volume->close();
    live.unit.reset();
    LUN_LOG_INFO(log, "volume closed", "volume", name);
  }
}

void Reconciler::open_missing(const config::Document& document, Records& records) {
  for (const auto& [name, wanted] : document.volumes) {
    LiveVolume& live = volumes_[name];
    if (live.volume) continue;
    open_one(name, wanted, records.at(name));
  }
}

void Reconciler::open_one(const std::string& name, const config::Volume& wanted, VolumeRecord& record) {
  LiveVolume& live = volumes_[name];
  live.config = wanted;
  live.uuid = record.uuid;
  live.failure.clear();

  backends::OpenRequest request;
  request.name = name;
  request.size_bytes = wanted.size_bytes;
  request.read_only = wanted.read_only;
  // Storage that was there once is never made anew: an unmounted file system must not turn into an empty disk.
  request.create = !record.is_made && !wanted.read_only;
  request.data_folder = data_folder_;
  auto device = open_backend_(request, wanted.backend, live.failure);
  if (!device.has_value()) {
    if (live.failure.empty()) live.failure = device.error().message();
  } else {
    live.failure = misfit(wanted, device.value()->geometry());
  }
  if (!live.failure.empty()) {
    LUN_LOG_ERROR(log, "volume not opened", "volume", name, "reason", live.failure);
    return;
  }
  volume::Identity identity;
  identity.name = name;
  identity.uuid = record.uuid;
  identity.product = wanted.product;
  identity.serial = wanted.serial;
  const volume::View view = view_of(wanted, device.value()->geometry());
  live.volume = std::make_shared<volume::Volume>(management_, std::move(identity), std::move(device.value()), view);
  live.lost_reservations =
      live.volume->keep_reservations(files_, data_folder_ + "/reservations", config::uuid_text(record.uuid));
  if (!live.lost_reservations.empty()) {
    LUN_LOG_ERROR(log, "reservations lost", "volume", name, "reason", live.lost_reservations);
  }
  live.unit = std::make_shared<scsi_server::LogicalUnit>(management_, live.volume);
  record.is_made = true;
  LUN_LOG_INFO(log, "volume open", "volume", name, "size", config::size_text(view.size_bytes), "uuid",
               config::uuid_text(record.uuid));
}

Task<> Reconciler::adjust(std::string name, config::Volume wanted) {
  LiveVolume& live = volumes_.at(name);  // stays: only reconcile erases, and it is running this
  if (!live.volume) co_return;
  live.failure = live.volume->reservations()->is_lost ? live.lost_reservations : "";
  if (wanted.size_bytes > live.volume->view()->size_bytes) {
    const auto grown = co_await live.volume->resize(wanted.size_bytes);
    if (!grown.has_value()) {
      live.failure = "cannot grow to " + config::size_text(wanted.size_bytes) + ": " + grown.error().message() + ".";
      LUN_LOG_ERROR(log, "volume not grown", "volume", name, "reason", live.failure);
    } else {
      LUN_LOG_INFO(log, "volume grown", "volume", name, "size", config::size_text(wanted.size_bytes));
    }
  }
  const bool read_only = wanted.read_only || live.volume->geometry().read_only;
  if (live.volume->view()->read_only != read_only) {
    volume::View view = *live.volume->view();
    ++view.generation;
    view.read_only = read_only;
    co_await live.volume->publish(std::move(view));
    LUN_LOG_INFO(log, read_only ? "volume read-only" : "volume writable", "volume", name);
  }
  live.config = std::move(wanted);
}

Task<> Reconciler::publish_exports(std::shared_ptr<const Exports> exports) {
  if (same(*exports_, *exports)) co_return;
  exports_ = exports;
  co_await transport_.apply_exports(std::move(exports));
}

std::shared_ptr<const Exports> Reconciler::exports_without(const std::vector<std::string>& closing) const {
  auto exports = std::make_shared<Exports>(*exports_);
  ++exports->generation;
  const auto is_closing = [&](const auto& entry) {
    return std::ranges::any_of(closing,
                               [&](const std::string& name) { return volumes_.at(name).unit == entry.second.unit; });
  };
  for (auto& [name, target] : exports->targets) {
    const auto leave_out = [&](std::shared_ptr<const scsi_server::LunMap>& map) {
      if (!map || std::ranges::none_of(map->entries, is_closing)) return;
      auto luns = std::make_shared<scsi_server::LunMap>(*map);
      std::erase_if(luns->entries, is_closing);
      map = std::move(luns);
    };
    leave_out(target.luns);
    for (InitiatorRule& rule : target.initiators) leave_out(rule.luns);
  }
  return exports;
}

std::shared_ptr<const scsi_server::LunMap> Reconciler::lun_map(const config::Document& document,
                                                               const std::string& target,
                                                               const config::Target& wanted) const {
  auto luns = std::make_shared<scsi_server::LunMap>();
  luns->target_ports = target_ports(document, wanted);
  for (const auto& [number, lun] : wanted.luns) {
    const auto live = volumes_.find(lun.volume);
    if (live != volumes_.end() && live->second.unit) luns->entries[number] = {live->second.unit, lun.read_only};
  }
  // The same map keeps its address, so that the transport sees at once whom a change does not concern.
  const auto before = exports_->targets.find(target);
  if (before != exports_->targets.end() && same(*before->second.luns, *luns)) return before->second.luns;
  return luns;
}

InitiatorRule Reconciler::rule_of(const std::string& name, const ExportedTarget& target,
                                  const config::Initiator& wanted) const {
  InitiatorRule rule{wanted.name, wanted.addresses, account_of(wanted.chap), account_of(wanted.mutual), nullptr};
  if (!wanted.luns) return rule;
  rule.luns = narrowed(*target.luns, *wanted.luns);
  // As for the target's own map: the same one keeps its address.
  const auto before = exports_->targets.find(name);
  if (before == exports_->targets.end()) return rule;
  for (const InitiatorRule& old : before->second.initiators)
    if (old.luns && same(*old.luns, *rule.luns)) rule.luns = old.luns;
  return rule;
}

std::shared_ptr<const Exports> Reconciler::exports_of(const config::Document& document) const {
  auto exports = std::make_shared<Exports>();
  exports->generation = exports_->generation + 1;
  exports->discovery_auth = auth_of(document.discovery_auth);
  for (const auto& [name, wanted] : document.targets) {
    ExportedTarget target;
    target.name = name;
    target.alias = wanted.alias;
    target.luns = lun_map(document, name, wanted);
    target.portals = wanted.portals;
    target.auth = auth_of(wanted.auth);
    for (const config::Initiator& initiator : wanted.initiators)
      target.initiators.push_back(rule_of(name, target, initiator));
    exports->targets.emplace(name, std::move(target));
  }
  return exports;
}

Task<> Reconciler::apply_portals(const config::Document& document) {
  std::vector<PortalSpec> portals;
  for (const auto& [name, wanted] : document.portals) {
    portals.push_back(
        {name, wanted.address, wanted.port, wanted.group_tag, advertise_of(wanted.advertise), wanted.advertised});
  }
  // A listener that could not be opened last time gets another chance.
  if (portals_known_ && portals == portals_ && portal_failures_.empty()) co_return;
  portals_known_ = true;
  portals_ = portals;
  portal_failures_ = co_await transport_.apply_portals(std::move(portals));
  for (const std::string& reason : portal_failures_) LUN_LOG_ERROR(log, "portal not open", "reason", reason);
}

Task<> Reconciler::close() {
  exports_ = std::make_shared<const Exports>();
  while (!volumes_.empty()) {
    LiveVolume live = std::move(volumes_.extract(volumes_.begin()).mapped());
    if (live.volume) co_await live.volume->close();
  }
}

}  // namespace lunaris::control
