// Endpoints and socket addresses: "192.0.2.1" and "2001:db8::1" to what the kernel takes, and back.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "server/runtime/stream.h"

namespace lunaris::runtime {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const noexcept;
  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
};

/// Numeric addresses only; an IPv6 address may carry a scope ("fe80::1%eth0").
[[nodiscard]] std::optional<SocketAddress> socket_address(const Endpoint& endpoint);
/// An IPv4 peer of an IPv6 socket ("::ffff:192.0.2.1") appears as what it is, "192.0.2.1".
[[nodiscard]] Endpoint endpoint_of(const sockaddr_storage& address);
[[nodiscard]] Endpoint local_endpoint(int fd);
[[nodiscard]] Endpoint peer_endpoint(int fd);
/// "192.0.2.1:3260", "[2001:db8::1]:3260".
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

}  // namespace lunaris::runtime
