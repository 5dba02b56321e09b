// Making a context without locks on a ring with single-issuer flags, and telling the debug guard whose it is.
#include "server/runtime/worker_context.h"

#include <boost/asio/detail/io_uring_service.hpp>

#include "server/runtime/assert.h"

namespace lunaris::runtime {
namespace asio = boost::asio;

WorkerContext::WorkerContext() {
  // The choice is thread-local because the fix sees every ring of the process.
  uring::thread_ring.next_is_worker = true;
  try {
    context_.emplace(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    asio::use_service<asio::detail::io_uring_service>(*context_);
  } catch (...) {
    uring::thread_ring.next_is_worker = false;
    throw;
  }
  LUN_ASSERT(!uring::thread_ring.next_is_worker);
#if defined(BOOST_ASIO_CUSTOM_HANDLER_TRACKING)
  asio_guard::own(*context_);
#endif
}

WorkerContext::~WorkerContext() {
#if defined(BOOST_ASIO_CUSTOM_HANDLER_TRACKING)
  asio_guard::disown(*context_);
#endif
}

}  // namespace lunaris::runtime
