// Address text by inet_pton and inet_ntop: no resolver, no locale, no blocking.
#include "server/runtime/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

namespace lunaris::runtime {
namespace {

Endpoint ipv4_endpoint(const in_addr& address, in_port_t port) {
  std::array<char, INET_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET, &address, text.data(), text.size());
  return {text.data(), ntohs(port)};
}

Endpoint ipv6_endpoint(const sockaddr_in6& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    in_addr mapped{};
    std::memcpy(&mapped, &address.sin6_addr.s6_addr[12], sizeof mapped);
    return ipv4_endpoint(mapped, address.sin6_port);
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
  Endpoint endpoint{text.data(), ntohs(address.sin6_port)};
  std::array<char, IF_NAMESIZE> interface_name{};
  if (address.sin6_scope_id != 0 && ::if_indextoname(address.sin6_scope_id, interface_name.data()) != nullptr) {
    endpoint.address.append("%").append(interface_name.data());
  }
  return endpoint;
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

Endpoint name_of(int fd, NameCall call) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (call(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return endpoint_of(storage);
}

}  // namespace

const sockaddr* SocketAddress::get() const noexcept {
  return reinterpret_cast<const sockaddr*>(&storage);
}

std::optional<SocketAddress> socket_address(const Endpoint& endpoint) {
  SocketAddress result;
  sockaddr_in ipv4{};
  if (::inet_pton(AF_INET, endpoint.address.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(endpoint.port);
    std::memcpy(&result.storage, &ipv4, sizeof ipv4);
    result.size = sizeof ipv4;
    return result;
  }
  const std::size_t percent = endpoint.address.find('%');
  sockaddr_in6 ipv6{};
  if (::inet_pton(AF_INET6, endpoint.address.substr(0, percent).c_str(), &ipv6.sin6_addr) != 1) return std::nullopt;
  if (percent != std::string::npos) {
    ipv6.sin6_scope_id = ::if_nametoindex(endpoint.address.substr(percent + 1).c_str());
    if (ipv6.sin6_scope_id == 0) return std::nullopt;
  }
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(endpoint.port);
  std::memcpy(&result.storage, &ipv6, sizeof ipv6);
  result.size = sizeof ipv6;
  return result;
}

Endpoint endpoint_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &address, sizeof ipv4);
    return ipv4_endpoint(ipv4.sin_addr, ipv4.sin_port);
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, &address, sizeof ipv6);
    return ipv6_endpoint(ipv6);
  }
  return {};
}

Endpoint local_endpoint(int fd) {
  return name_of(fd, &::getsockname);
}
Endpoint peer_endpoint(int fd) {
  return name_of(fd, &::getpeername);
}

std::string to_string(const Endpoint& endpoint) {
  const bool is_ipv6 = endpoint.address.find(':') != std::string::npos;
  const std::string port = std::to_string(endpoint.port);
  return is_ipv6 ? "[" + endpoint.address + "]:" + port : endpoint.address + ":" + port;
}

}  // namespace lunaris::runtime
