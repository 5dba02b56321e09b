#include "tests/sim/sim_target.h"

#include <cstdlib>

#include "server/observe/log.h"

namespace lunaris::sim {

SimTarget::SimTarget(SimWorld& world, SimTargetOptions options)
    : world_(world),
      management_(make_sim_worker(world, 1000, "management", std::size_t{4} << 20)),
      medium_(std::make_shared<SimMedium>(world, options.volume_bytes)) {
  // The log of thousands of simulated sessions helps nobody who has not asked for it.
  observe::set_level(std::getenv("LUNARIS_SIM_LOG") != nullptr ? observe::Level::debug : observe::Level::off);
  std::vector<runtime::Worker*> workers;
  for (unsigned i = 0; i < options.workers; ++i) {
    workers_.push_back(make_sim_worker(world, i, "worker" + std::to_string(i), options.buffer_bytes));
    workers.push_back(workers_.back().get());
  }
  volume::Identity identity;
  identity.name = "sim";
  identity.uuid = {0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  volume::View view;
  view.size_bytes = options.volume_bytes;
  view.block_bytes = block_bytes;
  run_on(*management_, [&] {
    volume_ = std::make_shared<volume::Volume>(*management_, identity, std::make_unique<SimDevice>(medium_), view);
    unit_ = std::make_shared<scsi_server::LogicalUnit>(*management_, volume_);
    transport_ = std::make_unique<iscsi_server::IscsiTransport>(*management_, workers, options.iscsi);
  });
  apply(make_exports(make_luns({0})));
}

SimTarget::~SimTarget() {
  if (!stopped_) stop();
  // Actors that end on a worker free their frames there.
  run_on(*management_, [&] {
    transport_.reset();
    unit_.reset();
    volume_.reset();
  });
  for (auto& worker : workers_) {
    run_on(*worker, [&] { worker->stop(); });
  }
  run_on(*management_, [&] { management_->stop(); });
  while (world_.step()) {
  }
}

std::shared_ptr<scsi_server::LunMap> SimTarget::make_luns(std::vector<std::uint16_t> numbers) const {
  auto luns = std::make_shared<scsi_server::LunMap>();
  for (const std::uint16_t number : numbers) luns->entries[number].unit = unit_;
  return luns;
}

std::shared_ptr<Exports> SimTarget::make_exports(std::shared_ptr<const scsi_server::LunMap> luns) {
  auto exports = std::make_shared<Exports>();
  ExportedTarget target;
  target.name = target_name;
  target.alias = "simulated";
  target.luns = std::move(luns);
  exports->targets[target_name] = std::move(target);
  return exports;
}

void SimTarget::apply(std::shared_ptr<const Exports> exports) {
  run_task(world_, *management_, transport_->apply_exports(std::move(exports)));
}

std::unique_ptr<SimPeer> SimTarget::connect(SimLink link, const std::string& address) {
  auto pipe = std::make_shared<SimPipe>(world_, link);
  bool accepted = false;
  run_on(*workers_.front(), [&] {
    accepted = transport_->accept(
        address, "", [&](runtime::Worker& worker) { return std::make_unique<SimStream>(pipe, worker, address); });
  });
  if (!accepted) return nullptr;
  return std::make_unique<SimPeer>(pipe);
}

std::vector<SessionInfo> SimTarget::sessions() {
  std::vector<SessionInfo> infos;
  struct Ask {
    static runtime::Task<> run(iscsi_server::IscsiTransport* transport, std::vector<SessionInfo>* out) {
      *out = co_await transport->sessions();
    }
  };
  run_task(world_, *management_, Ask::run(transport_.get(), &infos));
  return infos;
}

LoginFailures SimTarget::login_failures() {
  LoginFailures failures;
  struct Ask {
    static runtime::Task<> run(iscsi_server::IscsiTransport* transport, LoginFailures* out) {
      *out = co_await transport->login_failures();
    }
  };
  run_task(world_, *management_, Ask::run(transport_.get(), &failures));
  return failures;
}

std::size_t SimTarget::bytes_in_use() const {
  std::size_t bytes = 0;
  for (const auto& worker : workers_) bytes += worker->buffers().bytes_in_use();
  return bytes;
}

bool SimTarget::stop(std::uint32_t grace_ms) {
  stopped_ = true;
  if (!run_task(world_, *management_, transport_->stop(grace_ms))) return false;
  return run_task(world_, *management_, volume_->close());
}

}  // namespace lunaris::sim
