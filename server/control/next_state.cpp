// Judges documents against the state in force and derives the next state from them.
#include "server/control/next_state.h"

#include <span>
#include <stdexcept>
#include <utility>

#include "server/limits.h"
#include "server/observe/log.h"

namespace lunaris::control {

namespace {

observe::Logger& log = observe::logger("control");

/// A random UUID (RFC 4122 4.4).
config::Uuid new_uuid(runtime::Rng& rng) {
  config::Uuid uuid{};
  rng.fill(std::as_writable_bytes(std::span(uuid)));
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0F) | 0x40);
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3F) | 0x80);
  return uuid;
}

/// The document with the UUIDs that its volumes were given.
config::Document with_uuids(const State& state) {
  config::Document document = state.document;
  for (auto& [name, volume] : document.volumes) {
    if (const auto record = state.records.find(name); record != state.records.end()) volume.uuid = record->second.uuid;
  }
  return document;
}

std::string error_lines(const config::Problems& problems) {
  std::string lines;
  for (const config::Problem& problem : problems) {
    if (problem.severity == config::Severity::error) lines += "\n  " + config::to_string(problem);
  }
  return lines;
}

}  // namespace

config::Problems problems_of(const State& state, const config::Document& document,
                             const config::Surroundings& surroundings) {
  config::Problems problems = config::validate(document, surroundings);
  for (config::Problem& problem : config::validate_change(with_uuids(state), document))
    problems.push_back(std::move(problem));
  return problems;
}

State next_state(const State& state, config::Document document, runtime::Rng& rng) {
  State next;
  next.revision = state.revision + 1;
  for (const auto& [name, volume] : document.volumes) {
    const auto known = state.records.find(name);
    VolumeRecord record = known == state.records.end() ? VolumeRecord{} : known->second;
    if (volume.uuid) {
      record.uuid = *volume.uuid;
    } else if (known == state.records.end()) {
      record.uuid = new_uuid(rng);
    }
    // Another back end is other storage, which may have to be made.
    const auto before = state.document.volumes.find(name);
    if (before != state.document.volumes.end() && before->second.backend != volume.backend) record.is_made = false;
    next.records.emplace(name, record);
  }
  next.document = std::move(document);
  return next;
}

config::Decoded read_config_file(runtime::FileOps& files, const std::string& path) {
  const auto text = runtime::read_file(files, path, limits::config_bytes_max);
  if (text.has_value()) return config::decode_text(text.value());
  return {{}, {{"", "cannot read " + path + ": " + text.error().message() + "."}}};
}

State load_state(const StartSource& source, const config::Document& fresh, runtime::Rng& rng) {
  StateStore::Loaded loaded = source.store.load();
  if (!loaded.refusal.empty()) throw std::runtime_error(loaded.refusal);
  const State before = loaded.state.value_or(State{});
  config::Document document = loaded.state ? before.document : fresh;
  std::string what = "the stored configuration";
  if (!source.config_file.empty()) {
    what = "the configuration file " + source.config_file;
    config::Decoded decoded = read_config_file(source.files, source.config_file);
    if (config::has_errors(decoded.problems)) {
      throw std::runtime_error(what + " cannot be used:" + error_lines(decoded.problems));
    }
    document = std::move(decoded.document);
  }
  const config::Problems problems = problems_of(before, document, source.surroundings);
  for (const config::Problem& problem : problems) {
    if (problem.severity == config::Severity::warning) LUN_LOG_WARN(log, "problem", "what", config::to_string(problem));
  }
  if (config::has_errors(problems)) throw std::runtime_error(what + " cannot be used:" + error_lines(problems));
  if (loaded.state && document == before.document) return before;
  State next = next_state(before, std::move(document), rng);
  const std::string reason = source.store.save(next);
  if (!reason.empty()) {
    throw std::runtime_error("the state cannot be stored: " + reason +
                             "; name a folder that can be written to with --data.");
  }
  return next;
}

}  // namespace lunaris::control
