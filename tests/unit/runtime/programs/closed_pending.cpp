// Closes an Asio socket with a read pending and opens the next one at once. Built without the debug guard: shows that
// the dead connection's read receives the next connection's bytes (exit status 1). With the argument "wait" it shuts
// the first socket down and waits for its handler before closing, as the rule says (exit status 0).
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <cstdio>

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;

int main(int argc, char**) {
  const bool wait = argc > 1;
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  const auto work = asio::make_work_guard(context);  // polling goes on when nothing is pending
  bool stolen = false;
  for (int round = 0; round < 50 && !stolen; ++round) {
    int a[2];
    int b[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, a) != 0) return 2;
    Socket first(context, asio::local::stream_protocol(), a[0]);
    char first_buffer[16] = {};
    char second_buffer[16] = {};
    bool first_ended = false;
    first.async_read_some(asio::buffer(first_buffer), [&](boost::system::error_code error, std::size_t) {
      first_ended = true;
      if (!error) stolen = true;
    });
    for (int i = 0; i < 5; ++i) context.poll();
    if (wait) {
      ::shutdown(first.native_handle(), SHUT_RDWR);
      while (!first_ended) context.run_one();
    }
    first.close();
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, b) != 0) return 2;
    Socket second(context, asio::local::stream_protocol(), b[0]);
    bool second_ended = false;
    second.async_read_some(asio::buffer(second_buffer),
                           [&](boost::system::error_code, std::size_t) { second_ended = true; });
    if (::send(b[1], "for the second", 14, 0) != 14) return 2;
    for (int i = 0; i < 200 && !(first_ended && second_ended) && !stolen; ++i) {
      context.poll();
      ::usleep(100);
    }
    if (wait && !second_ended) return 3;
    if (stolen) std::printf("the closed socket's read received \"%s\"\n", first_buffer);
    ::close(a[1]);
    ::close(b[1]);
    if (stolen) break;
    if (!wait) second.cancel();
    for (int i = 0; i < 20; ++i) context.poll();
  }
  std::fflush(stdout);
  ::_exit(stolen ? 1 : 0);
}
