// Service: the one door to a running Lunaris. The management socket, the web API and signals all come through here; it
// validates, stores, reconciles and tells.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/config/diff.h"
#include "server/config/validate.h"
#include "server/control/change_lock.h"
#include "server/control/next_state.h"
#include "server/control/reconciler.h"
#include "server/control/state_store.h"

namespace lunaris::control {

/// What became of a change.
struct Outcome {
  enum class Status : std::uint8_t {
    applied,          // in force; `failures` says which steps could not be made
    unchanged,        // it was in force already
    planned,          // nothing was done: a dry run
    invalid,          // `problems` says why
    conflict,         // the revision was not the expected one
    managed_by_file,  // only the file may change it
    busy,             // too many changes wait
    not_stored,       // the state folder could not be written; the configuration before is in force
    stopping,
  };
  Status status = Status::applied;
  std::uint64_t revision = 0;  // the one in force afterwards
  std::string detail;          // one sentence, when it was refused
  config::Problems problems;   // warnings as well
  config::Diff changes;
  std::vector<StepFailure> failures;

  [[nodiscard]] bool is_refused() const noexcept {
    return status != Status::applied && status != Status::unchanged && status != Status::planned;
  }
};
[[nodiscard]] std::string_view to_string(Outcome::Status status) noexcept;
[[nodiscard]] boost::json::object encode(const Outcome& outcome);

/// Management worker only. `start` once, then any number of calls side by side, then `stop`.
class Service {
 public:
  struct Parts {
    runtime::Worker& management;
    Transport& transport;
    runtime::FileOps& files;
    StateStore& store;
    OpenBackend open_backend;
    config::Surroundings surroundings;  // data folder, check of back ends
    std::string config_file;            // not empty: managed by this file
    std::string version;
    /// Called with each new server section; makes the live ones of its settings take effect.
    std::function<void(const config::Server&)> server_changed;
  };

  /// `initial` comes from load_state.
  Service(Parts parts, State initial);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Brings everything up. Once, before anything else.
  runtime::Task<Outcome> start();

  /// Puts `document` in force; its accounts without a secret keep theirs (config/secrets.h). `expected_revision`, when
  /// given, must be the one in force (another change may have come first).
  runtime::Task<Outcome> apply(config::Document document, std::optional<std::uint64_t> expected_revision);
  /// What `apply` would do.
  [[nodiscard]] Outcome plan(config::Document document, std::optional<std::uint64_t> expected_revision) const;
  /// Reads the file again, when there is one; tries again what could not be opened, failed volumes included.
  runtime::Task<Outcome> reload();

  /// What there is and how it is.
  runtime::Task<boost::json::object> status();
  runtime::Task<std::vector<SessionInfo>> sessions();
  runtime::Task<LoginFailures> login_failures();
  runtime::Task<bool> drop_session(std::string id);
  [[nodiscard]] const State& state() const noexcept { return state_; }
  /// The configured volumes, open or not; valid until the next co_await.
  [[nodiscard]] const std::map<std::string, LiveVolume>& volumes() const noexcept { return reconciler_.volumes(); }
  [[nodiscard]] const std::string& version() const noexcept { return parts_.version; }
  [[nodiscard]] bool is_managed_by_file() const noexcept { return !parts_.config_file.empty(); }

  /// Refuses changes, lets initiators log out, closes the volumes. The volumes are flushed when it returns.
  runtime::Task<> stop();

 private:
  [[nodiscard]] Outcome refused(Outcome::Status status, std::string detail) const;
  [[nodiscard]] std::optional<Outcome> refusal(std::optional<std::uint64_t> expected_revision) const;
  [[nodiscard]] Outcome check(const config::Document& document, std::optional<std::uint64_t> expected_revision) const;
  runtime::Task<Outcome> change(config::Document document, Outcome outcome, Reconciler::Options options);
  runtime::Task<std::vector<StepFailure>> reconcile(Reconciler::Options options);
  void log_outcome(const Outcome& outcome) const;

  [[nodiscard]] boost::json::array volumes_status() const;
  [[nodiscard]] boost::json::array targets_status(const std::vector<SessionInfo>& sessions) const;

  Parts parts_;
  Reconciler reconciler_;
  State state_;
  ChangeLock lock_;
  std::vector<StepFailure> failures_;  // of the last reconciliation
  std::uint64_t started_ns_ = 0;
  bool stopping_ = false;
};

}  // namespace lunaris::control
