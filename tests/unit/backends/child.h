// in_child: runs a function in a forked process, for tests that change what belongs to a whole process (limits, user
// id, mounts) or that must see it die. Call it while no worker thread exists.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

namespace lunaris::backends::test {

/// What a child answers that could not set up what it needs.
inline constexpr int child_skipped = 77;

/// The exit code, or minus the number of the signal that ended it.
template <class Function>
int in_child(Function function, bool quiet = false) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);  // the test's own handler would report a failure
    if (quiet) ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    ::_exit(function());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace lunaris::backends::test
