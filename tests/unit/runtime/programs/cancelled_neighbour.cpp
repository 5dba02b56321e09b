// Cancels one socket's read after the submission queue has gone round and looks whether the other socket's pending read
// ends. Built twice: with the ring fix (exit status 0) and without (1). An argument makes the ring a worker's.
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <cstdio>
#include <functional>
#include <string_view>

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;

int main(int argc, [[maybe_unused]] char** argv) {
#ifdef LUNARIS_WITH_FIX
  lunaris::runtime::uring::thread_ring.next_is_worker = argc > 1;
#else
  if (argc > 1) return 2;
#endif
  constexpr int rounds = 20'000;  // more than the queue's 16384 entries
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  int a[2];
  int b[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, a) != 0 || ::socketpair(AF_UNIX, SOCK_STREAM, 0, b) != 0) return 2;
  Socket first(context, asio::local::stream_protocol(), a[0]);
  Socket second(context, asio::local::stream_protocol(), b[0]);
  char first_buffer[1];
  char second_buffer[1];
  int reads = 0;
  bool ended_by_nobody = false;
  bool second_ended = false;
  std::function<void()> read_again = [&] {
    first.async_read_some(asio::buffer(first_buffer), [&](boost::system::error_code, std::size_t) {
      if (reads == rounds) {
        ended_by_nobody = true;  // nothing was sent any more
        return;
      }
      if (++reads < rounds && ::send(a[1], "x", 1, 0) != 1) return;
      read_again();
    });
  };
  if (::send(a[1], "x", 1, 0) != 1) return 2;
  read_again();
  while (reads < rounds) context.run_one();
  for (int i = 0; i < 10; ++i) context.poll();  // the last read of `first` is pending in the kernel now
  second.async_read_some(asio::buffer(second_buffer),
                         [&](boost::system::error_code, std::size_t) { second_ended = true; });
  for (int i = 0; i < 10; ++i) context.poll();
  second.cancel();
  for (int i = 0; i < 100 && !ended_by_nobody; ++i) {
    context.poll();
    ::usleep(1000);
  }
  std::printf("%s\n", ended_by_nobody ? "the neighbour's read ended" : "the neighbour's read is pending");
  std::fflush(stdout);
  ::_exit(ended_by_nobody ? 1 : second_ended ? 0 : 2);
}
