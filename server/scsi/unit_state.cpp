// The parts behind a LogicalUnit: who is told what, and how everything on a unit is brought to an end.
#include "server/scsi/unit_state.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "server/runtime/assert.h"
#include "server/scsi/unit_reservations.h"

namespace lunaris::scsi_server {
namespace {

constexpr unsigned write_cache_bit = 1, descriptor_sense_bit = 2, write_protect_bit = 4;

std::uint8_t pack(const scsi::ModeSettings& settings) noexcept {
  return static_cast<std::uint8_t>((settings.write_cache_enabled ? write_cache_bit : 0U) |
                                   (settings.descriptor_sense ? descriptor_sense_bit : 0U) |
                                   (settings.software_write_protect ? write_protect_bit : 0U));
}

scsi::ModeSettings unpack(std::uint8_t bits) noexcept {
  return {.write_cache_enabled = (bits & write_cache_bit) != 0,
          .descriptor_sense = (bits & descriptor_sense_bit) != 0,
          .software_write_protect = (bits & write_protect_bit) != 0};
}

scsi::AdditionalSense condition_of(volume::ReservationNotice notice) noexcept {
  switch (notice) {
    case volume::ReservationNotice::reservations_preempted:
      return scsi::additional_sense::reservations_preempted;
    case volume::ReservationNotice::reservations_released:
      return scsi::additional_sense::reservations_released;
    case volume::ReservationNotice::registrations_preempted:
      return scsi::additional_sense::registrations_preempted;
  }
  return scsi::additional_sense::reservations_preempted;
}

/// Keeps `state` alive while one of its parts waits on another worker.
runtime::Task<bool> drained_there(std::shared_ptr<UnitState> state, UnitOnWorker& part, std::uint64_t bound) {
  co_await part.drained(bound);
  static_cast<void>(state);
  co_return true;
}

}  // namespace

UnitOnWorker::~UnitOnWorker() {
  LUN_ASSERT(first_ == nullptr);
  LUN_ASSERT(first_drain_ == nullptr);
}

void UnitOnWorker::add(UnitNexus& nexus) noexcept {
  nexus.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &nexus;
  first_ = &nexus;
}

void UnitOnWorker::remove(UnitNexus& nexus) noexcept {
  (nexus.previous_ == nullptr ? first_ : nexus.previous_->next_) = nexus.next_;
  if (nexus.next_ != nullptr) nexus.next_->previous_ = nexus.previous_;
}

void UnitOnWorker::announce(scsi::AdditionalSense condition, const void* except_nexus) noexcept {
  for (UnitNexus* nexus = first_; nexus != nullptr; nexus = nexus->next_) {
    if (nexus->nexus_ != except_nexus) nexus->attentions_.raise(condition);
  }
}

std::uint64_t UnitOnWorker::abort_all(scsi::AdditionalSense condition) noexcept {
  for (UnitNexus* nexus = first_; nexus != nullptr; nexus = nexus->next_) {
    nexus->abort_tasks();
    nexus->prevent_removal(false);
  }
  announce(condition, nullptr);
  return sequence_;
}

UnitNexus* UnitOnWorker::find(const volume::NexusName& name) const noexcept {
  for (UnitNexus* nexus = first_; nexus != nullptr; nexus = nexus->next_) {
    const NexusIdentity& identity = nexus->identity();
    if (identity.initiator_port == name.initiator_port && identity.target_port == name.target_port) return nexus;
  }
  return nullptr;
}

std::vector<std::uint64_t> UnitOnWorker::apply(volume::Volume& volume, const volume::ReservationOutcome& outcome) {
  constexpr std::uint8_t persistent_reserve_out = 0x5f;
  volume.refresh(worker_);
  for (const volume::ReservationOutcome::Told& each : outcome.told) {
    if (UnitNexus* nexus = find(each.nexus)) nexus->attentions_.raise(condition_of(each.notice));
  }
  std::vector<std::uint64_t> aborted;
  for (const volume::NexusName& each : outcome.aborted) {
    UnitNexus* nexus = find(each);
    if (nexus == nullptr) continue;
    for (TaskEntry* entry = nexus->tasks_.first(); entry != nullptr; entry = entry->next()) {
      if (entry->command().cdb[0] == persistent_reserve_out) continue;
      aborted.push_back(entry->sequence);
      nexus->abort(*entry);
    }
  }
  std::ranges::sort(aborted);
  return aborted;
}

std::vector<std::string> UnitOnWorker::initiator_ports(const std::string& name) const {
  std::vector<std::string> ports;
  for (UnitNexus* nexus = first_; nexus != nullptr; nexus = nexus->next_) {
    const std::string& port = nexus->identity().initiator_port;
    if (port.starts_with(name) && port.substr(name.size()).starts_with(",i,")) ports.push_back(port);
  }
  return ports;
}

bool UnitOnWorker::Drain::waits_for(std::uint64_t sequence) const noexcept {
  return tasks == nullptr ? sequence < bound : std::ranges::binary_search(*tasks, sequence);
}

runtime::Task<> UnitOnWorker::drained(std::uint64_t bound) {
  co_await wait(bound, nullptr);
}

runtime::Task<> UnitOnWorker::ended(const std::vector<std::uint64_t>& tasks) {
  co_await wait(0, &tasks);
}

runtime::Task<> UnitOnWorker::wait(std::uint64_t bound, const std::vector<std::uint64_t>* tasks) {
  Drain drain;
  drain.bound = bound;
  drain.tasks = tasks;
  for (UnitNexus* nexus = first_; nexus != nullptr; nexus = nexus->next_) {
    for (TaskEntry* entry = nexus->tasks_.first(); entry != nullptr; entry = entry->next()) {
      if (drain.waits_for(entry->sequence)) ++drain.remaining;
    }
  }
  if (drain.remaining == 0) co_return;
  drain.next = first_drain_;
  first_drain_ = &drain;
  co_await drain.done.wait();
}

void UnitOnWorker::count_down(std::uint64_t sequence) noexcept {
  for (Drain** link = &first_drain_; *link != nullptr;) {
    Drain& drain = **link;
    if (drain.waits_for(sequence) && --drain.remaining == 0) {
      *link = drain.next;
      drain.done.set();
    } else {
      link = &drain.next;
    }
  }
}

UnitState::UnitState(std::shared_ptr<volume::Volume> volume)
    : volume_(std::move(volume)), geometry_(volume_->geometry()), settings_(pack(default_settings())) {}

UnitState::~UnitState() {
  for (UnitOnWorker* part = first_.load(std::memory_order_acquire); part != nullptr;) {
    UnitOnWorker* const next = part->next_;
    delete part;
    part = next;
  }
}

UnitOnWorker& UnitState::on(runtime::Worker& worker) {
  UnitOnWorker* const known = first_.load(std::memory_order_acquire);
  for (UnitOnWorker* part = known; part != nullptr; part = part->next_) {
    if (&part->worker_ == &worker) return *part;
  }
  // Only `worker` adds its own part, so nobody else can have added it meanwhile.
  auto* const added = new UnitOnWorker(worker);
  added->next_ = known;
  while (!first_.compare_exchange_weak(added->next_, added, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return *added;
}

scsi::ModeSettings UnitState::default_settings() const noexcept {
  return {.write_cache_enabled = geometry_.volatile_cache};
}

scsi::ModeSettings UnitState::settings() const noexcept {
  return unpack(settings_.load(std::memory_order_relaxed));
}

void UnitState::set_settings(const scsi::ModeSettings& settings) noexcept {
  settings_.store(pack(settings), std::memory_order_relaxed);
}

void UnitState::announce(scsi::AdditionalSense condition, const void* except_nexus) {
  for (UnitOnWorker* part = first_.load(std::memory_order_acquire); part != nullptr; part = part->next_) {
    if (runtime::Worker::current() == &part->worker_) {
      part->announce(condition, except_nexus);
    } else {
      part->worker_.post(
          [state = shared_from_this(), part, condition, except_nexus] { part->announce(condition, except_nexus); });
    }
  }
}

// Every worker aborts before any is waited for: a device that hangs on one must not let commands succeed on another.
// A worker that has stopped has no tasks left: its answer, nothing, is as good as "done".
runtime::Task<> UnitState::reset() {
  const std::shared_ptr<UnitState> self = shared_from_this();
  const scsi::AdditionalSense condition = scsi::additional_sense::bus_device_reset_function_occurred;
  set_settings(default_settings());
  co_await release_session(self, nullptr);  // SPC-2 5.5.1; persistent reservations stay
  struct Aborted {
    UnitOnWorker* part;
    std::uint64_t bound;
  };
  std::vector<Aborted> aborted;
  for (UnitOnWorker* part = first_.load(std::memory_order_acquire); part != nullptr; part = part->next_) {
    std::optional<std::uint64_t> bound;
    if (runtime::Worker::current() == &part->worker_) {
      bound = part->abort_all(condition);
    } else {
      bound = co_await part->worker_.ask([self, part, condition] { return part->abort_all(condition); });
    }
    if (bound) aborted.push_back({part, *bound});
  }
  for (const Aborted& each : aborted) {
    UnitOnWorker* const part = each.part;
    if (runtime::Worker::current() == &part->worker_) {
      co_await part->drained(each.bound);
    } else {
      static_cast<void>(co_await part->worker_.ask_task(
          [self, part, bound = each.bound] { return drained_there(self, *part, bound); }));
    }
  }
}

std::vector<UnitOnWorker*> UnitState::parts() const {
  std::vector<UnitOnWorker*> parts;
  for (UnitOnWorker* part = first_.load(std::memory_order_acquire); part != nullptr; part = part->next_) {
    parts.push_back(part);
  }
  return parts;
}

UnitNexus::UnitNexus(const Nexus& nexus, runtime::Worker& worker, std::uint16_t lun, LunMap::Entry entry)
    : nexus_(&nexus),
      worker_(worker),
      lun_(lun),
      entry_(std::move(entry)),
      state_(entry_.unit->implementation().state),
      on_worker_(state_->on(worker)),
      tasks_(worker) {
  on_worker_.add(*this);
  attentions_.raise(scsi::additional_sense::power_on_reset_or_bus_device_reset_occurred);
  if (volume::Port* const opened = port()) {
    seen_generation_ = opened->view().generation;
    seen_block_count_ = opened->view().block_count();
    seen_read_only_ = opened->view().read_only;
  }
}

UnitNexus::~UnitNexus() {
  prevent_removal(false);
  on_worker_.remove(*this);
}

volume::Port* UnitNexus::port() noexcept {
  if (port_ != nullptr) return port_;
  backends::Result<volume::Port*> opened = state_->volume().port(worker_);
  if (opened.has_error()) return nullptr;
  if ((*opened)->view().block_bytes % state_->geometry().io_alignment != 0) return nullptr;
  port_ = *opened;
  return port_;
}

void UnitNexus::prevent_removal(bool prevent) noexcept {
  if (prevents_removal_ == prevent) return;
  prevents_removal_ = prevent;
  if (prevent) {
    state_->preventing_.fetch_add(1, std::memory_order_relaxed);
  } else {
    state_->preventing_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void UnitNexus::set_read_only(bool read_only) noexcept {
  if (entry_.read_only == read_only) return;
  entry_.read_only = read_only;
  attentions_.raise(scsi::additional_sense::mode_parameters_changed);
}

void UnitNexus::join(TaskEntry& entry) noexcept {
  entry.sequence = on_worker_.next_sequence();
  tasks_.join(entry);
}

void UnitNexus::leave(TaskEntry& entry) noexcept {
  tasks_.leave(entry);
  on_worker_.ended(entry.sequence);
}

void UnitNexus::abort_tasks() noexcept {
  for (TaskEntry* entry = tasks_.first(); entry != nullptr; entry = entry->next()) abort(*entry);
}

void UnitNexus::abort(TaskEntry& entry) noexcept {
  tasks_.abort(entry);
  if (entry.command().data != nullptr) entry.command().data->give_up();
}

void UnitNexus::find_role(const volume::View& view) noexcept {
  role_generation_ = view.generation;
  role_ = view.reservation->role_of(identity().initiator_port, identity().target_port);
}

void UnitNexus::look_at(const volume::View& view) noexcept {
  seen_generation_ = view.generation;
  if (view.block_count() != seen_block_count_) attentions_.raise(scsi::additional_sense::capacity_data_has_changed);
  if (view.read_only != seen_read_only_) attentions_.raise(scsi::additional_sense::mode_parameters_changed);
  seen_block_count_ = view.block_count();
  seen_read_only_ = view.read_only;
}

}  // namespace lunaris::scsi_server
