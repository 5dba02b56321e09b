// Exit codes of every lunaris subcommand; scripts and service managers rely on them.
#pragma once

namespace lunaris::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;        // it could not be done; the reason is on stderr
inline constexpr int exit_usage = 2;         // a flag or argument is wrong
inline constexpr int exit_unavailable = 69;  // no server answers (EX_UNAVAILABLE of sysexits.h)

}  // namespace lunaris::cli
