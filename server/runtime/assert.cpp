// The end of a process that found itself in an impossible state: says where and in which work, then aborts.
#include "server/runtime/assert.h"

#include <cstdio>
#include <cstdlib>

#include "server/runtime/task.h"
#include "server/runtime/worker.h"

namespace lunaris::runtime {
namespace {

constinit thread_local const char* assert_context = nullptr;

}  // namespace

void set_assert_context(const char* context) noexcept {
  assert_context = context;
}

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  const Worker* worker = Worker::current();
  std::fprintf(stderr, "lunaris: assertion failed: %s at %s:%d worker=%s context=%s\n", expression, file, line,
               worker != nullptr ? worker->name().c_str() : "-", assert_context != nullptr ? assert_context : "-");
  std::fflush(stderr);
  std::abort();
}

namespace detail {

void coroutine_threw() noexcept {
  assertion_failed("a task does not throw", __FILE__, __LINE__);
}

}  // namespace detail
}  // namespace lunaris::runtime
