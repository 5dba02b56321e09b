// The way of a change: check, store durably, then make it so.
#include "server/control/service.h"

#include <utility>

#include "server/config/secrets.h"
#include "server/config/values.h"
#include "server/limits.h"
#include "server/observe/log.h"

namespace lunaris::control {

namespace json = boost::json;
using runtime::Task;

namespace {

observe::Logger& log = observe::logger("control");

}  // namespace

std::string_view to_string(Outcome::Status status) noexcept {
  switch (status) {
    case Outcome::Status::applied:
      return "applied";
    case Outcome::Status::unchanged:
      return "unchanged";
    case Outcome::Status::planned:
      return "planned";
    case Outcome::Status::invalid:
      return "invalid";
    case Outcome::Status::conflict:
      return "conflict";
    case Outcome::Status::managed_by_file:
      return "managed-by-file";
    case Outcome::Status::busy:
      return "busy";
    case Outcome::Status::not_stored:
      return "not-stored";
    case Outcome::Status::stopping:
      return "stopping";
  }
  return "";
}

json::object encode(const Outcome& outcome) {
  json::array failures;
  for (const StepFailure& failure : outcome.failures) {
    failures.push_back(
        json::object{{"pointer", json::string(failure.pointer)}, {"reason", json::string(failure.reason)}});
  }
  json::object object{{"status", json::string(to_string(outcome.status))}, {"revision", outcome.revision}};
  if (!outcome.detail.empty()) object["detail"] = json::string(outcome.detail);
  object["problems"] = config::encode(outcome.problems);
  object["changes"] = config::encode(outcome.changes);
  object["failures"] = std::move(failures);
  return object;
}

Service::Service(Parts parts, State initial)
    : parts_(std::move(parts)),
      reconciler_(parts_.management, parts_.transport, parts_.open_backend, parts_.files,
                  parts_.surroundings.data_folder),
      state_(std::move(initial)) {}

Task<Outcome> Service::start() {
  started_ns_ = parts_.management.clock().now_ns();
  const auto hold = co_await lock_.acquire();
  Outcome outcome;
  outcome.revision = state_.revision;
  outcome.failures = co_await reconcile({});
  co_return outcome;
}

Task<std::vector<StepFailure>> Service::reconcile(Reconciler::Options options) {
  std::map<std::string, VolumeRecord> records = state_.records;
  failures_ = co_await reconciler_.reconcile(state_.document, records, options);
  if (records != state_.records) {
    state_.records = std::move(records);
    const std::string reason = parts_.store.save(state_);
    // Not fatal: at worst a volume that was made is allowed to be made again, which opens what is there.
    if (!reason.empty()) LUN_LOG_ERROR(log, "state not stored", "reason", reason);
  }
  co_return failures_;
}

Outcome Service::refused(Outcome::Status status, std::string detail) const {
  Outcome outcome;
  outcome.status = status;
  outcome.revision = state_.revision;
  outcome.detail = std::move(detail);
  return outcome;
}

std::optional<Outcome> Service::refusal(std::optional<std::uint64_t> expected_revision) const {
  if (stopping_) return refused(Outcome::Status::stopping, "lunaris is stopping.");
  if (expected_revision && *expected_revision != state_.revision) {
    return refused(Outcome::Status::conflict, "the configuration is at revision " + std::to_string(state_.revision) +
                                                  ", not " + std::to_string(*expected_revision) +
                                                  ": read it again and repeat the change.");
  }
  return {};
}

Outcome Service::plan(config::Document document, std::optional<std::uint64_t> expected_revision) const {
  config::keep_secrets(document, state_.document);
  return check(document, expected_revision);
}

Outcome Service::check(const config::Document& document, std::optional<std::uint64_t> expected_revision) const {
  if (auto no = refusal(expected_revision)) return std::move(*no);
  Outcome outcome;
  outcome.revision = state_.revision;
  outcome.problems = problems_of(state_, document, parts_.surroundings);
  outcome.status = config::has_errors(outcome.problems) ? Outcome::Status::invalid : Outcome::Status::planned;
  if (outcome.is_refused()) outcome.detail = "the configuration has errors.";
  outcome.changes = config::diff(state_.document, document);
  return outcome;
}

Task<Outcome> Service::apply(config::Document document, std::optional<std::uint64_t> expected_revision) {
  if (is_managed_by_file()) {
    co_return refused(Outcome::Status::managed_by_file,
                      "the configuration is managed by " + parts_.config_file + ": change that file and reload.");
  }
  if (lock_.waiting() >= limits::changes_waiting_max) {
    co_return refused(Outcome::Status::busy, "too many changes are waiting; try again later.");
  }
  const auto hold = co_await lock_.acquire();
  config::keep_secrets(document, state_.document);
  Outcome outcome = check(document, expected_revision);
  if (outcome.is_refused()) co_return outcome;
  co_return co_await change(std::move(document), std::move(outcome), {});
}

Task<Outcome> Service::reload() {
  if (lock_.waiting() >= limits::changes_waiting_max) {
    co_return refused(Outcome::Status::busy, "too many changes are waiting; try again later.");
  }
  const auto hold = co_await lock_.acquire();
  config::Decoded decoded{state_.document, {}};
  if (is_managed_by_file()) decoded = read_config_file(parts_.files, parts_.config_file);
  Outcome outcome;
  if (config::has_errors(decoded.problems)) {
    outcome = refused(Outcome::Status::invalid,
                      "the configuration file has errors; the configuration before stays in force.");
    outcome.problems = std::move(decoded.problems);
  } else {
    outcome = check(decoded.document, {});
  }
  if (!outcome.is_refused()) {
    outcome = co_await change(std::move(decoded.document), std::move(outcome), {.reopen_failed = true});
  } else {
    log_outcome(outcome);
  }
  co_return outcome;
}

Task<Outcome> Service::change(config::Document document, Outcome outcome, Reconciler::Options options) {
  outcome.status = outcome.changes.empty() ? Outcome::Status::unchanged : Outcome::Status::applied;
  if (!outcome.changes.empty()) {
    State next = next_state(state_, std::move(document), parts_.management.rng());
    const std::string reason = parts_.store.save(next);
    if (!reason.empty()) {
      outcome.status = Outcome::Status::not_stored;
      outcome.detail = "the new configuration could not be stored and is not in force: " + reason + ".";
      log_outcome(outcome);
      co_return outcome;
    }
    state_ = std::move(next);
    if (parts_.server_changed) parts_.server_changed(state_.document.server);
  }
  outcome.revision = state_.revision;
  outcome.failures = co_await reconcile(options);
  log_outcome(outcome);
  co_return outcome;
}

void Service::log_outcome(const Outcome& outcome) const {
  if (outcome.is_refused()) {
    LUN_LOG_ERROR(log, "configuration refused", "status", to_string(outcome.status), "reason", outcome.detail,
                  "revision", outcome.revision);
  } else {
    LUN_LOG_INFO(log, "configuration in force", "status", to_string(outcome.status), "revision", outcome.revision,
                 "changes", outcome.changes.size(), "failures", outcome.failures.size());
  }
  for (const config::Problem& problem : outcome.problems)
    LUN_LOG_WARN(log, "problem", "what", config::to_string(problem));
}

Task<std::vector<SessionInfo>> Service::sessions() {
  co_return co_await parts_.transport.sessions();
}

Task<LoginFailures> Service::login_failures() {
  co_return co_await parts_.transport.login_failures();
}

Task<bool> Service::drop_session(std::string id) {
  const bool is_dropped = co_await parts_.transport.drop_session(id);
  if (is_dropped) LUN_LOG_INFO(log, "session dropped by the operator", "session", id);
  co_return is_dropped;
}

Task<> Service::stop() {
  stopping_ = true;
  const auto hold = co_await lock_.acquire();  // a change that runs comes to its end first
  co_await parts_.transport.stop(state_.document.server.shutdown_grace_ms);
  co_await reconciler_.close();
}

}  // namespace lunaris::control
