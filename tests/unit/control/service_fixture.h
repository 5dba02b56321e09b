// A Service on a stepped worker, with a transport that records what it is told and back ends in memory.
#pragma once

#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/control/backend_table.h"
#include "server/control/service.h"
#include "server/observe/log.h"
#include "tests/support/stepped_worker.h"
#include "tests/unit/control/fake_disk.h"

namespace lunaris::control::test {

class RecordingTransport final : public Transport {
 public:
  std::vector<std::shared_ptr<const Exports>> exports;  // in the order of the calls
  std::vector<std::vector<PortalSpec>> portals;
  std::vector<std::string> portal_failures;
  std::vector<SessionInfo> live_sessions;
  std::vector<std::string> dropped;
  LoginFailures refused;
  bool stopped = false;

  [[nodiscard]] std::string_view name() const noexcept override { return "recording"; }
  runtime::Task<std::vector<std::string>> apply_portals(std::vector<PortalSpec> wanted) override {
    portals.push_back(std::move(wanted));
    co_return portal_failures;
  }
  runtime::Task<> apply_exports(std::shared_ptr<const Exports> wanted) override {
    exports.push_back(std::move(wanted));
    co_return;
  }
  runtime::Task<std::vector<SessionInfo>> sessions() override { co_return live_sessions; }
  runtime::Task<LoginFailures> login_failures() override { co_return refused; }
  runtime::Task<bool> drop_session(std::string id) override {
    dropped.push_back(id);
    co_return id == "s-1";
  }
  runtime::Task<> stop(std::uint32_t) override {
    stopped = true;
    co_return;
  }
};

/// Runs `task` on the worker until it ends.
template <class T>
T run(lunaris::test::SteppedWorker& worker, runtime::Task<T> task) {
  struct Keeper {
    static runtime::Task<> keep(runtime::Task<T> task, std::optional<T>& out) { out = co_await std::move(task); }
  };
  std::optional<T> result;
  worker.start(Keeper::keep(std::move(task), result));
  lunaris::test::settle({&worker});
  REQUIRE(result.has_value());
  return std::move(*result);
}

class Fixture {
 public:
  FakeDisk disk;
  StateStore store{disk, "/s"};
  lunaris::test::SteppedWorker management;
  RecordingTransport transport;
  std::vector<backends::OpenRequest> opened;
  std::set<std::string> broken;  // volumes whose back end does not open
  std::string config_file;
  std::unique_ptr<Service> service;

  Fixture() { observe::set_level(observe::Level::off); }
  ~Fixture() { stop(); }

  /// As a new process on the same disk would.
  Outcome start(const config::Document& fresh = {}) {
    stop();
    const StartSource source{disk, store, {check_backend, "/data"}, config_file};
    runtime::SystemRng rng;
    service = std::make_unique<Service>(parts(), load_state(source, fresh, rng));
    return run(management, service->start());
  }
  void stop() {
    if (!service) return;
    management.start(service->stop());
    lunaris::test::settle({&management});
    transport.exports.clear();
    service.reset();
  }
  Outcome apply(const config::Document& document, std::optional<std::uint64_t> expected = {}) {
    return run(management, service->apply(document, expected));
  }
  const Exports& exports() { return *transport.exports.back(); }

 private:
  Service::Parts parts() {
    return {.management = *management,
            .transport = transport,
            .files = disk,
            .store = store,
            .open_backend = [this](const backends::OpenRequest& request, const boost::json::object& backend,
                                   std::string& reason) -> backends::Result<std::unique_ptr<backends::BlockDevice>> {
              opened.push_back(request);
              if (!broken.contains(request.name)) return backends::open_backend(request, backend, reason);
              reason = "the medium is not there; put it back.";
              return backends::make_error_code(backends::BackendError::gone);
            },
            .surroundings = {check_backend, "/data"},
            .config_file = config_file,
            .version = "test",
            .server_changed = nullptr};
  }
};

/// A session of `initiator` with `target`.
inline SessionInfo session(const std::string& id, const std::string& initiator, const std::string& target) {
  SessionInfo info;
  info.id = id;
  info.initiator = initiator;
  info.target = target;
  return info;
}

inline const std::string target_a = "iqn.2026-01.io.lunaris:a";
inline const std::string target_b = "iqn.2026-01.io.lunaris:b";

/// Volumes a and b in memory, each behind a target of its own.
inline config::Document two_volumes() {
  config::Document document;
  document.portals["default"] = {};
  for (const char* name : {"a", "b"}) {
    config::Volume& volume = document.volumes[name];
    volume.size_bytes = 1U << 20;
    volume.backend = {{"type", "memory"}};
    document.targets[std::string("iqn.2026-01.io.lunaris:") + name].luns[0].volume = name;
  }
  return document;
}

}  // namespace lunaris::control::test
