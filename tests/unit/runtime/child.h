// Running a part of a test in a forked child: what must abort, exit, or live under another limit.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <string>

namespace lunaris::runtime::test {

struct ChildResult {
  bool exited = false;
  int status = -1;  // exit status
  int signal = 0;   // or the signal that ended it
  std::string error_text;
  [[nodiscard]] bool aborted() const { return signal == SIGABRT; }
};

/// Runs `function` (answers an exit status) in a child with standard error captured. No other thread may run: the child
/// has this one only. A child that hangs is ended after `seconds`.
template <class Function>
ChildResult in_child(Function function, unsigned seconds = 20) {
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(fds[1], STDERR_FILENO);
    ::close(fds[0]);
    ::close(fds[1]);
    // Catch turns signals into reports; a child dies of them.
    for (const int number : {SIGABRT, SIGSEGV, SIGTERM, SIGFPE, SIGILL, SIGINT}) std::signal(number, SIG_DFL);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::alarm(seconds);
    ::_exit(function());
  }
  ::close(fds[1]);
  ChildResult result;
  char chunk[1024];
  for (ssize_t got = 0; (got = ::read(fds[0], chunk, sizeof chunk)) > 0;) {
    result.error_text.append(chunk, static_cast<std::size_t>(got));
  }
  ::close(fds[0]);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  result.exited = WIFEXITED(status);
  if (result.exited) result.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

}  // namespace lunaris::runtime::test
