// Listener: a listening TCP socket on one worker. It survives running out of descriptors and hands every connection to
// a callback object, which places it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/runtime/gate.h"
#include "server/runtime/result.h"
#include "server/runtime/stream.h"
#include "server/runtime/unique_fd.h"

namespace lunaris::runtime {

class Worker;

/// A bound and listening socket with nobody accepting yet.
struct ListeningSocket {
  UniqueFd socket;
  Endpoint bound;  // with the port that the kernel chose when 0 was asked for
};

struct ListenOptions {
  int backlog = 1024;  // the kernel's own limit is net.core.somaxconn (4096 on current systems)
  /// The ring of a server that was killed holds the address a few milliseconds longer: try again for this long.
  std::chrono::milliseconds retry_for{2000};
};

/// Binds and listens. Blocks (for `retry_for` at most), so at start or on a BlockingPool. "::" takes IPv4 as well. On
/// failure `reason` is a sentence that names the address and says what to do.
[[nodiscard]] Result<ListeningSocket> listen_on(const Endpoint& endpoint, const ListenOptions& options,
                                                std::string& reason);

/// What the listener has to say; called on its worker.
class AcceptSink {
 public:
  virtual ~AcceptSink() = default;
  /// The socket is blocking, CLOEXEC, and nothing is pending on it.
  virtual void accepted(UniqueFd socket, Endpoint peer, Endpoint local) = 0;
  /// Connections were turned away or could not be taken, and why. Once per trouble, not once per connection.
  virtual void accept_failed(int errno_value, std::uint64_t turned_away) = 0;
};

/// Belongs to one worker: made, started, closed and destroyed there. Closing:
///   co_await listener.close();   // then destroy
class Listener {
 public:
  Listener(Worker& worker, ListeningSocket socket, AcceptSink& sink);
  /// Asserts that it is closed (or was never started).
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void start();
  /// Stops accepting at once; returns when nothing is pending on the socket, at most two ticks of the wheel later.
  [[nodiscard]] Task<> close();

  [[nodiscard]] const Endpoint& bound() const noexcept { return socket_.bound; }
  /// For a watchdog, which shuts it down (never closes it) before it leaves the process.
  [[nodiscard]] int descriptor() const noexcept { return socket_.socket.get(); }
  /// Connections that found no descriptor and were closed at once.
  [[nodiscard]] std::uint64_t turned_away() const noexcept { return turned_away_; }

 private:
  enum class Next : std::uint8_t { poll, pause };
  Task<> serve();
  Next accept_waiting();
  Next turn_away(int errno_value);

  Worker& worker_;
  ListeningSocket socket_;
  AcceptSink& sink_;
  UniqueFd spare_;  // given up for a moment to tell a client that there is no room
  Gate gate_;
  bool closing_ = false;
  std::uint64_t turned_away_ = 0;
};

}  // namespace lunaris::runtime
