// From a document to a state: what is wrong with it here and now, what it becomes when it is accepted, and which one
// Lunaris starts with.
#pragma once

#include <string>

#include "server/config/json.h"
#include "server/config/validate.h"
#include "server/control/state_store.h"
#include "server/runtime/rng.h"

namespace lunaris::control {

/// Everything wrong with `document` as the successor of `state`.
[[nodiscard]] config::Problems problems_of(const State& state, const config::Document& document,
                                           const config::Surroundings& surroundings);

/// `document` as the next revision: volumes keep their records, new ones get a UUID.
[[nodiscard]] State next_state(const State& state, config::Document document, runtime::Rng& rng);

/// The configuration file; that it cannot be read is one of the problems. Blocking.
[[nodiscard]] config::Decoded read_config_file(runtime::FileOps& files, const std::string& path);

/// Where the configuration comes from at the start.
struct StartSource {
  runtime::FileOps& files;
  StateStore& store;
  config::Surroundings surroundings;
  std::string config_file;  // not empty: managed by this file
};

/// The state to start with, stored: the file's document, else what is stored, else `fresh`. Blocking; throws
/// std::runtime_error with what is wrong and what to do.
[[nodiscard]] State load_state(const StartSource& source, const config::Document& fresh, runtime::Rng& rng);

}  // namespace lunaris::control
