// Stands between Asio 1.26 and liburing 2.3. CMake (lunaris_asio) includes it before everything else in every
// translation unit that can see Asio, so that there is one definition of Asio's ring in the process. It
//   - clears user_data of every new submission entry: Asio gives cancels none, liburing leaves the last user's in
//   place,
//     and the cancel's completion would then end a stranger's operation;
//   - makes a worker's ring with the flags a single-threaded ring profits from, and aborts when another thread touches
//   it;
//   - joins submitting and waiting of a worker's ring into one system call;
//   - aborts when a submission fails for good, which Asio would never notice.
// Every other ring of the process (management, tests) is made as Asio asks for it and may be touched by any thread.
#pragma once

#include <liburing.h>

#include <boost/asio/version.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static_assert(BOOST_ASIO_VERSION == 102600, "read asio_uring_fix.h against the new Asio before changing this number");

namespace lunaris::runtime::uring {

/// What this thread's rings are for. A worker sets `next_is_worker` before it makes its context and `ring` is then the
/// ring that belongs to this thread alone.
struct ThreadRing {
  bool next_is_worker = false;
  bool plain_flags = false;  // a worker's ring without flags: the switch for kernels that misbehave
  io_uring* ring = nullptr;
  unsigned unreported = 0;        // entries handed out that Asio has not asked to submit yet
  unsigned polls = 0;             // polls in a row that found nothing
  bool reaping = false;           // the last poll found a completion
  unsigned long long enters = 0;  // system calls made (statistics)
};
constinit inline thread_local ThreadRing thread_ring;

inline constexpr unsigned worker_flags =
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
/// Small enough to stay in the cache while it goes round; a full queue is submitted on the spot.
inline constexpr unsigned worker_submission_entries = 1024;
inline constexpr unsigned worker_completion_entries = 8192;
/// Asio asks for 16384 everywhere, 1.5 MiB that count against RLIMIT_MEMLOCK.
inline constexpr unsigned plain_submission_entries = 4096;
/// Submissions wait for the end of the turn, but not more of them than this.
inline constexpr unsigned submissions_held_max = 256;
/// Empty polls before a busy loop submits what it holds: Asio polls while its own queue is not empty.
inline constexpr unsigned polls_before_enter = 3;

[[noreturn]] inline void foreign_thread(const char* call) {
  std::fprintf(stderr, "lunaris: %s on a worker's ring from a foreign thread: send mail instead\n", call);
  std::abort();
}

inline void check_foreign(const io_uring* ring, const char* call) {
  if ((ring->flags & IORING_SETUP_SINGLE_ISSUER) != 0) foreign_thread(call);
}

inline int check_submitted(int result) {
  if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
    std::fprintf(stderr, "lunaris: io_uring submit failed: %s\n", std::strerror(-result));
    std::abort();
  }
  return result;
}

inline int queue_init(unsigned entries, io_uring* ring, unsigned flags) {
  ThreadRing& own = thread_ring;
  if (!own.next_is_worker) {
    return ::io_uring_queue_init(entries < plain_submission_entries ? entries : plain_submission_entries, ring, flags);
  }
  io_uring_params params;
  std::memset(&params, 0, sizeof params);
  params.flags = IORING_SETUP_CQSIZE | (own.plain_flags ? 0U : worker_flags);
  params.cq_entries = worker_completion_entries;
  int result = ::io_uring_queue_init_params(worker_submission_entries, ring, &params);
  if (result == -EINVAL) result = ::io_uring_queue_init(entries, ring, flags);  // a kernel before 6.1
  const bool plain_flags = own.plain_flags;
  own = ThreadRing{};
  own.plain_flags = plain_flags;
  if (result == 0) own.ring = ring;
  return result;
}

inline void queue_exit(io_uring* ring) {
  if (thread_ring.ring == ring) {
    thread_ring.ring = nullptr;
  } else {
    check_foreign(ring, "io_uring_queue_exit");
  }
  ::io_uring_queue_exit(ring);
}

inline io_uring_sqe* get_sqe(io_uring* ring) {
  ThreadRing& own = thread_ring;
  io_uring_sqe* sqe = nullptr;
  if (own.ring != ring) {
    check_foreign(ring, "io_uring_get_sqe");
    sqe = ::io_uring_get_sqe(ring);
  } else {
    sqe = ::io_uring_get_sqe(ring);
    if (sqe == nullptr) {
      ++own.enters;
      check_submitted(::io_uring_submit(ring));
      sqe = ::io_uring_get_sqe(ring);
    }
    if (sqe != nullptr) ++own.unreported;
  }
  if (sqe != nullptr) sqe->user_data = 0;
  return sqe;
}

/// On a worker's ring only takes note: what Asio wants submitted leaves with the next wait (or poll, when busy).
inline int submit(io_uring* ring) {
  ThreadRing& own = thread_ring;
  if (own.ring != ring) {
    check_foreign(ring, "io_uring_submit");
    return check_submitted(::io_uring_submit(ring));
  }
  const unsigned reported = own.unreported;
  own.unreported = 0;
  if (::io_uring_sq_ready(ring) >= submissions_held_max) {
    ++own.enters;
    check_submitted(::io_uring_submit(ring));
  }
  return static_cast<int>(reported);
}

inline int peek_cqe(io_uring* ring, io_uring_cqe** cqe) {
  ThreadRing& own = thread_ring;
  if (own.ring != ring) return ::io_uring_peek_cqe(ring, cqe);
  if (::io_uring_cq_ready(ring) != 0) {
    own.reaping = true;
    return ::io_uring_peek_cqe(ring, cqe);
  }
  if (own.reaping) {  // the end of the batch that is being reaped
    own.reaping = false;
    return -EAGAIN;
  }
  if (++own.polls < polls_before_enter) return -EAGAIN;
  own.polls = 0;
  if (::io_uring_sq_ready(ring) != 0) {
    ++own.enters;
    check_submitted(::io_uring_submit_and_get_events(ring));
  }
  const int result = ::io_uring_peek_cqe(ring, cqe);
  own.reaping = result == 0;
  return result;
}

inline int wait_cqe(io_uring* ring, io_uring_cqe** cqe) {
  ThreadRing& own = thread_ring;
  if (own.ring != ring) return ::io_uring_wait_cqe(ring, cqe);
  own.polls = 0;
  int result = 0;
  ++own.enters;
  if (::io_uring_sq_ready(ring) != 0) {
    // A short submission returns without waiting; -EAGAIN then brings Asio back here.
    result = check_submitted(::io_uring_submit_and_wait(ring, 1));
    if (::io_uring_cq_ready(ring) != 0) {
      result = ::io_uring_peek_cqe(ring, cqe);
    } else {
      result = -EAGAIN;
    }
  } else {
    result = ::io_uring_wait_cqe(ring, cqe);
  }
  own.reaping = result == 0;
  return result;
}

}  // namespace lunaris::runtime::uring

#define io_uring_queue_init lunaris::runtime::uring::queue_init
#define io_uring_queue_exit lunaris::runtime::uring::queue_exit
#define io_uring_get_sqe lunaris::runtime::uring::get_sqe
#define io_uring_submit lunaris::runtime::uring::submit
#define io_uring_peek_cqe lunaris::runtime::uring::peek_cqe
#define io_uring_wait_cqe lunaris::runtime::uring::wait_cqe
