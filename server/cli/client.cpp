// Connects, sends one line, reads one line.
#include "server/cli/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <cerrno>
#include <cstring>

#include "server/cli/exit_code.h"
#include "server/limits.h"

namespace lunaris::cli {

namespace json = boost::json;

namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Answer unavailable(const std::string& socket, const std::string& why) {
  return {nullptr, exit_unavailable, "no server answers on " + socket + ": " + why + ".", {}};
}

bool connect_to(int fd, const std::string& path, std::chrono::seconds time_max) {
  const timeval time{time_max.count(), 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  // The sockets interface takes every kind of address through the generic pointer type.
  return ::connect(fd, static_cast<const sockaddr*>(static_cast<const void*>(&address)), sizeof address) == 0;
}

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// The first line that comes; what was read so far when the server stops talking.
std::string receive_line(int fd) {
  std::string line;
  std::array<char, 65536> chunk{};
  while (line.find('\n') == std::string::npos && line.size() < limits::admin_request_bytes_max) {
    const ssize_t count = ::recv(fd, chunk.data(), chunk.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    line.append(chunk.data(), static_cast<std::size_t>(count));
  }
  return line;
}

Answer read_answer(const std::string& socket, const std::string& line) {
  json::error_code error;
  json::value answer = json::parse(line, error);
  if (error || !answer.is_object()) return unavailable(socket, "it gave no answer in time, or none that can be read");
  json::object& object = answer.get_object();
  if (const json::value* result = object.if_contains("result")) return {*result, exit_ok, "", {}};
  Answer failed{nullptr, exit_failed, "the server refused without a reason.", {}};
  if (const json::value* details = object.if_contains("error"); details != nullptr && details->is_object()) {
    failed.details = details->get_object();
    if (const json::value* message = failed.details.if_contains("message");
        message != nullptr && message->is_string()) {
      failed.message = message->get_string();
    }
  }
  return failed;
}

}  // namespace

Answer ask(const std::string& socket, std::string_view method, json::object params, std::chrono::seconds time_max) {
  const Descriptor connection{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (connection.fd < 0) return unavailable(socket, std::strerror(errno));
  if (!connect_to(connection.fd, socket, time_max)) {
    return unavailable(socket, std::string(std::strerror(errno)) + "; is it running, and is --socket right?");
  }
  const json::object request{{"method", json::string(method)}, {"params", std::move(params)}};
  if (!send_all(connection.fd, json::serialize(request) + "\n")) {
    // The server may have said why before it hung up.
    const Answer answer = read_answer(socket, receive_line(connection.fd));
    return answer.exit_code == exit_ok ? unavailable(socket, "it hung up") : answer;
  }
  return read_answer(socket, receive_line(connection.fd));
}

}  // namespace lunaris::cli
