// Log: how the control side says something to the operator, as a parameter.
#pragma once

#include <functional>
#include <string>

#include "server/config/model.h"

namespace lunaris::control {

/// One line: a sentence in a few words, then key=value pairs.
using Log = std::function<void(config::LogLevel level, const std::string& line)>;

}  // namespace lunaris::control
