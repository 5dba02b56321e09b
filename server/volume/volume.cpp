// Volumes, their ports, and how a view reaches every worker.
#include "server/volume/volume.h"

#include <mutex>
#include <utility>

#include "server/observe/log.h"
#include "server/runtime/assert.h"
#include "server/volume/reservation_file.h"
#include "server/volume/turnstile.h"

namespace lunaris::volume {

using runtime::Task;
using runtime::Worker;

namespace {

observe::Logger& log = observe::logger("volume");

/// More workers than this are not made: it is the number of CPUs of the largest machines in use.
constexpr std::size_t workers_max = 1024;

}  // namespace

struct Port::Epoch {
  explicit Epoch(std::shared_ptr<const View> which) : view(std::move(which)) {}
  std::shared_ptr<const View> view;
  runtime::Gate gate;
};

/// What the volume knows about its ports. The mutex guards the newest view and the registration of ports: taken when a
/// worker opens its port, when a view changes, and by a command only when it has noticed a newer view.
struct Volume::Ports {
  mutable std::mutex mutex;
  std::shared_ptr<const View> newest;
  bool closing = false;
  std::atomic<std::uint64_t> newest_generation{0};
  /// Slot i belongs to worker i, which alone sets it (under the mutex) and reads it without.
  std::array<std::atomic<Port*>, workers_max> by_worker{};
  std::vector<std::unique_ptr<Port>> all;
  Turnstile publishing;
  /// Guarded by the mutex; changed on the management worker only.
  std::shared_ptr<const ReservationTable> reservations = std::make_shared<const ReservationTable>();
  std::optional<ReservationFile> reservation_file;  // management worker
  Turnstile reserving;

  std::vector<Port*> snapshot() const {
    const std::lock_guard lock(mutex);
    std::vector<Port*> ports;
    for (const std::unique_ptr<Port>& port : all) ports.push_back(port.get());
    return ports;
  }
};

// --- Port
// -------------------------------------------------------------------------------------------------------------

Port::Port(Volume& volume, Worker& worker, std::unique_ptr<backends::BlockChannel> channel,
           std::shared_ptr<const View> view)
    : volume_(volume),
      worker_(worker),
      channel_(std::move(channel)),
      epoch_(std::make_unique<Epoch>(std::move(view))),
      uses_(volume.range_lock()) {}

Port::~Port() = default;

const View& Port::view() const noexcept {
  return *epoch_->view;
}

std::optional<Port::Pass> Port::enter() {
  LUN_ASSERT(Worker::current() == &worker_);
  if (volume_.newest_generation() != epoch_->view->generation) take_newest();
  std::optional<runtime::Gate::Pass> pass = epoch_->gate.try_enter();
  if (!pass) return std::nullopt;
  return Pass(*this, *epoch_->view, std::move(*pass));
}

void Port::take_newest() {
  std::shared_ptr<const View> newest = volume_.view();
  // A closed port keeps its last view: nobody enters any more.
  if (newest->generation == epoch_->view->generation || epoch_->gate.is_closed()) return;
  auto fresh = std::make_unique<Epoch>(std::move(newest));
  std::swap(fresh, epoch_);
  fresh->gate.shut();
  retired_.push_back(std::move(fresh));
}

Task<> Port::drain_retired() {
  ++drains_;
  while (!retired_.empty()) {
    // Held by pointer: a newer view may retire another epoch, and move the vector, while this waits.
    Epoch* oldest = retired_.front().get();
    co_await oldest->gate.close();
    // The last command opens the gate from inside its own end: let it finish before the epoch goes.
    co_await worker_.yield();
    LUN_ASSERT(retired_.front().get() == oldest);
    retired_.erase(retired_.begin());
  }
  --drains_;
}

void Port::adopt() {
  LUN_ASSERT(Worker::current() == &worker_);
  take_newest();
  // Nobody waits for the old epochs of a change that does not drain: they go when they are found empty.
  while (drains_ == 0 && !retired_.empty() && retired_.front()->gate.count() == 0) retired_.erase(retired_.begin());
}

Task<bool> Port::switch_to(std::uint64_t generation) {
  LUN_ASSERT(Worker::current() == &worker_);
  take_newest();
  LUN_ASSERT(epoch_->view->generation >= generation);
  co_await drain_retired();
  co_return true;
}

void Port::shut() {
  LUN_ASSERT(Worker::current() == &worker_);
  take_newest();
  epoch_->gate.shut();
}

Task<bool> Port::close() {
  LUN_ASSERT(Worker::current() == &worker_ && epoch_->gate.is_closed());
  co_await drain_retired();
  co_await epoch_->gate.close();
  co_await worker_.yield();
  channel_.reset();
  co_return true;
}

// --- Volume
// -----------------------------------------------------------------------------------------------------------

Volume::Volume(Worker& management, Identity identity, std::unique_ptr<backends::BlockDevice> device, View first_view)
    : management_(management),
      identity_(std::move(identity)),
      device_(std::move(device)),
      ports_(std::make_unique<Ports>()) {
  LUN_ASSERT(device_ != nullptr);
  const std::lock_guard lock(ports_->mutex);
  set_newest(std::move(first_view));
}

Volume::~Volume() {
  LUN_ASSERT(device_ == nullptr);
}

std::uint64_t Volume::set_newest(View view) {
  const View* old = ports_->newest.get();
  LUN_ASSERT(view.block_bytes > 0 && view.size_bytes >= view.block_bytes);
  view.generation = old == nullptr ? 1 : old->generation + 1;
  if (old != nullptr && old->health == Health::failed) {
    view.health = Health::failed;
    view.health_reason = old->health_reason;
  }
  // Whoever made `view` may have begun with one from before the last change of the reservations.
  view.reservation = ports_->reservations->concerns_commands() ? ports_->reservations : nullptr;
  const std::uint64_t generation = view.generation;
  ports_->newest = std::make_shared<const View>(std::move(view));
  // Relaxed is enough: who sees the number fetches the view under the mutex.
  ports_->newest_generation.store(generation, std::memory_order_relaxed);
  return generation;
}

std::uint64_t Volume::newest_generation() const noexcept {
  return ports_->newest_generation.load(std::memory_order_relaxed);
}

std::shared_ptr<const View> Volume::view() const {
  const std::lock_guard lock(ports_->mutex);
  return ports_->newest;
}

backends::Result<Port*> Volume::port(Worker& worker) {
  LUN_ASSERT(Worker::current() == &worker && worker.index() < workers_max);
  std::atomic<Port*>& slot = ports_->by_worker[worker.index()];
  if (Port* port = slot.load(std::memory_order_relaxed)) {
    LUN_ASSERT(&port->worker_ == &worker);  // two workers with one index
    return port;
  }
  // Held while the channel is opened: close() sees either a whole port or none, and takes the device away only then.
  const std::lock_guard lock(ports_->mutex);
  if (ports_->closing) return backends::make_error_code(backends::BackendError::gone);
  backends::Result<std::unique_ptr<backends::BlockChannel>> channel = device_->open_channel(worker);
  if (channel.has_error()) return channel.error();
  // The view is read and the port registered in one step: a publish before it is seen here, one after it sees the port.
  std::unique_ptr<Port> port(new Port(*this, worker, std::move(*channel), ports_->newest));
  slot.store(port.get(), std::memory_order_relaxed);
  return ports_->all.emplace_back(std::move(port)).get();
}

void Volume::fail(std::string reason) {
  const std::lock_guard lock(ports_->mutex);
  if (ports_->newest->health == Health::failed) return;
  View view = *ports_->newest;
  view.health = Health::failed;
  view.health_reason = std::move(reason);
  set_newest(std::move(view));
}

std::string Volume::keep_reservations(runtime::FileOps& files, std::string folder, std::string name) {
  LUN_ASSERT(ports_->snapshot().empty());
  ports_->reservation_file.emplace(files, std::move(folder), std::move(name));
  ReservationFile::Loaded loaded = ports_->reservation_file->load();
  adopt_reservations(std::move(loaded.table));
  return loaded.problem;
}

bool Volume::keeps_reservations() const noexcept {
  return ports_->reservation_file.has_value();
}

std::shared_ptr<const ReservationTable> Volume::reservations() const {
  const std::lock_guard lock(ports_->mutex);
  return ports_->reservations;
}

Turnstile& Volume::reservation_turn() noexcept {
  return ports_->reserving;
}

ReservationOutcome Volume::change_reservations(const ReservationRequest& request) {
  LUN_ASSERT(Worker::current() == &management_);
  const ReservationTable& before = *ports_->reservations;
  ReservationTable after = before;
  ReservationOutcome outcome = change(after, request);
  if (outcome.verdict != ReservationVerdict::done || after == before) return outcome;
  if (after.survives_power_loss && !ports_->reservation_file) {
    return {.verdict = ReservationVerdict::invalid_parameters, .told = {}, .aborted = {}};
  }
  // What survives is stored before it is true: nobody is told of a change that a crash would undo.
  const bool is_kept = before.survives_power_loss || after.survives_power_loss || before.is_lost;
  if (ports_->reservation_file && is_kept) {
    const std::string failure = ports_->reservation_file->save(after);
    if (!failure.empty()) {
      LUN_LOG_ERROR(log, "reservations not stored", "volume", identity_.name, "reason", failure);
      return {.verdict = ReservationVerdict::not_kept, .told = {}, .aborted = {}};
    }
  }
  adopt_reservations(std::move(after));
  return outcome;
}

void Volume::adopt_reservations(ReservationTable table) {
  auto adopted = std::make_shared<const ReservationTable>(std::move(table));
  const std::lock_guard lock(ports_->mutex);
  const bool matters = ports_->reservations->concerns_commands() || adopted->concerns_commands();
  ports_->reservations = std::move(adopted);
  if (matters) set_newest(*ports_->newest);
}

void Volume::refresh(Worker& worker) {
  LUN_ASSERT(Worker::current() == &worker);
  if (Port* port = ports_->by_worker[worker.index()].load(std::memory_order_relaxed)) port->adopt();
}

Task<> Volume::publish(View view) {
  LUN_ASSERT(Worker::current() == &management_);
  co_await ports_->publishing.enter();
  co_await publish_in_turn(std::move(view));
  ports_->publishing.leave();
}

Task<> Volume::publish_in_turn(View view) {
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(ports_->mutex);
    if (ports_->closing) co_return;
    generation = set_newest(std::move(view));
  }
  // One after the other, yet at the pace of the slowest: every port takes the view by itself with its next command,
  // and the commands of the old one end on all workers at once. A worker that has stopped runs no command.
  for (Port* port : ports_->snapshot()) {
    static_cast<void>(co_await port->worker_.ask_task([port, generation] { return port->switch_to(generation); }));
  }
}

Task<backends::Result<>> Volume::resize(std::uint64_t size_bytes) {
  LUN_ASSERT(Worker::current() == &management_);
  co_await ports_->publishing.enter();
  backends::Result<> result;
  // Re-read in our turn: another resize may have been before us.
  View next = *view();
  if (device_ == nullptr) {
    result = backends::make_error_code(backends::BackendError::gone);
  } else if (size_bytes < next.block_bytes || size_bytes % next.block_bytes != 0) {
    result = backends::make_error_code(backends::BackendError::out_of_range);
  } else if (size_bytes < next.size_bytes) {
    result = backends::make_error_code(backends::BackendError::not_supported);
  } else {
    result = device_->resize(size_bytes);
  }
  if (result.has_value()) {
    next.size_bytes = size_bytes;
    co_await publish_in_turn(std::move(next));
  }
  ports_->publishing.leave();
  co_return result;
}

Task<> Volume::close() {
  LUN_ASSERT(Worker::current() == &management_);
  co_await ports_->publishing.enter();
  {
    const std::lock_guard lock(ports_->mutex);
    ports_->closing = true;
  }
  // First all doors, then the waiting: a volume that closes is closed on every worker at the same time.
  const std::vector<Port*> ports = ports_->snapshot();
  for (Port* port : ports) static_cast<void>(co_await port->worker_.ask([port] { port->shut(); }));
  for (Port* port : ports) {
    const std::optional<bool> closed = co_await port->worker_.ask_task([port] { return port->close(); });
    // The worker has stopped, so nobody is in its port and nobody else can take the channel down.
    if (!closed) port->channel_.reset();
  }
  device_.reset();
  ports_->publishing.leave();
}

Task<> Volume::drain_uses(backends::ByteRange range) {
  for (Port* port : ports_->snapshot()) {
    if (Worker::current() == &port->worker_) {
      static_cast<void>(co_await port->uses_.drained(range));
    } else {
      static_cast<void>(co_await port->worker_.ask_task([port, range] { return port->uses_.drained(range); }));
    }
  }
}

Volume::Totals Volume::totals() const {
  const std::lock_guard lock(ports_->mutex);
  Totals totals;
  for (const std::unique_ptr<Port>& port : ports_->all) {
    const PortCounters& counters = port->counters_;
    totals.reads += counters.reads.load(std::memory_order_relaxed);
    totals.writes += counters.writes.load(std::memory_order_relaxed);
    totals.read_bytes += counters.read_bytes.load(std::memory_order_relaxed);
    totals.written_bytes += counters.written_bytes.load(std::memory_order_relaxed);
    totals.flushes += counters.flushes.load(std::memory_order_relaxed);
    totals.discards += counters.discards.load(std::memory_order_relaxed);
    totals.errors += counters.errors.load(std::memory_order_relaxed);
  }
  return totals;
}

}  // namespace lunaris::volume
