// limit: the physical limit to compare a target with. It speaks just enough iSCSI for iscsi_load to log in (AuthMethod
// None, no digests) and answers reads from the page cache and writes into it: one thread, one io_uring, one receive per
// connection in flight, one gathered send per batch. No windows, no checks, no protection from a hostile peer: only for
// measurements on loopback.
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/wire.h"

namespace lunaris::bench {
namespace {

constexpr unsigned depth_max = 256;              // commands of one connection; MaxCmdSN says so
constexpr std::uint32_t transfer_max = 1 << 20;  // bytes of one command
constexpr std::uint32_t segment_max = 262144;    // our MaxRecvDataSegmentLength
constexpr std::size_t receive_bytes = 2 * segment_max;
constexpr std::size_t vectors_max = 1024;

enum class Kind : std::uint8_t { accept, receive, send, file };

// What a completion belongs to; user_data points at it.
struct Operation {
  Kind kind;
  struct Connection* connection = nullptr;
  std::uint32_t index = 0;  // of the command, for Kind::file
};

struct Command {
  Operation file{.kind = Kind::file};
  Header header{};  // of the request, then of the answer
  std::unique_ptr<std::byte[]> data;
  std::uint32_t length = 0;
  std::uint32_t received = 0;
  bool write = false;
};

struct Connection {
  Operation receive_operation{.kind = Kind::receive, .connection = this};
  Operation send_operation{.kind = Kind::send, .connection = this};
  int fd = -1;
  int file = -1;
  std::uint64_t blocks = 0;
  std::vector<std::byte> rx = std::vector<std::byte>(receive_bytes);
  std::size_t rx_at = 0;
  std::size_t rx_end = 0;
  std::uint32_t stat_sn = 1;
  std::uint32_t exp_cmd_sn = 1;
  std::vector<Command> commands = std::vector<Command>(depth_max);
  std::vector<std::uint32_t> free;
  std::vector<std::uint32_t> ready;    // answers waiting for the next send
  std::vector<std::uint32_t> sending;  // answers of the send in flight
  std::vector<iovec> vectors = std::vector<iovec>(vectors_max);
  msghdr message{};
  bool send_busy = false;
  bool closing = false;
};

std::string_view iqn_index(std::string_view text) {
  const std::size_t at = text.find("TargetName=");
  if (at == std::string_view::npos) return {};
  const std::string_view name = text.substr(at, text.find('\0', at) - at);
  return name.substr(name.find_last_not_of("0123456789") + 1);
}

class Limit {
 public:
  Limit(std::uint16_t port, std::vector<int> files) : files_(std::move(files)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the socket interface wants it
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_, 64) != 0) {
      std::perror("limit: listen");
      std::exit(1);
    }
    const int failed = ::io_uring_queue_init(4096, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (failed != 0) {
      std::fprintf(stderr, "limit: io_uring_queue_init failed with %d\n", failed);
      std::exit(1);
    }
  }

  [[noreturn]] void run() {
    start_accept();
    for (;;) {
      ::io_uring_submit_and_wait(&ring_, 1);
      io_uring_cqe* cqe = nullptr;
      unsigned head = 0;
      unsigned seen = 0;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        ++seen;
        complete(*static_cast<Operation*>(::io_uring_cqe_get_data(cqe)), cqe->res);
      }
      ::io_uring_cq_advance(&ring_, seen);
      // One send per connection and batch; a connection is looked at once more when its send ends.
      for (auto& connection : connections_) start_send(*connection);
    }
  }

 private:
  io_uring_sqe& entry(Operation& operation) {
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      ::io_uring_submit(&ring_);
      sqe = ::io_uring_get_sqe(&ring_);
    }
    ::io_uring_sqe_set_data(sqe, &operation);
    return *sqe;
  }

  void start_accept() {
    prepare(accept_, [&](auto* sqe) { ::io_uring_prep_accept(sqe, listener_, nullptr, nullptr, 0); });
  }

  // The preparing calls of liburing clear user_data, so it is set after them.
  template <typename Prepare>
  void prepare(Operation& operation, Prepare prepare_entry) {
    io_uring_sqe& sqe = entry(operation);
    prepare_entry(&sqe);
    ::io_uring_sqe_set_data(&sqe, &operation);
  }

  void start_receive(Connection& c) {
    if (c.rx_at == c.rx_end) {
      c.rx_at = c.rx_end = 0;
    } else if (c.rx_at > c.rx.size() / 4) {
      std::memmove(c.rx.data(), c.rx.data() + c.rx_at, c.rx_end - c.rx_at);
      c.rx_end -= c.rx_at;
      c.rx_at = 0;
    }
    if (c.rx_end == c.rx.size()) c.rx.resize(c.rx.size() * 2);
    prepare(c.receive_operation,
            [&](auto* sqe) { ::io_uring_prep_recv(sqe, c.fd, c.rx.data() + c.rx_end, c.rx.size() - c.rx_end, 0); });
  }

  void complete(Operation& operation, int result) {
    switch (operation.kind) {
      case Kind::accept:
        if (result >= 0) accepted(result);
        start_accept();
        return;
      case Kind::receive:
        return received(*operation.connection, result);
      case Kind::send:
        return sent(*operation.connection, result);
      case Kind::file:
        return file_done(*operation.connection, operation, result);
    }
  }

  void accepted(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto connection = std::make_unique<Connection>();
    connection->fd = fd;
    for (std::uint32_t i = 0; i < depth_max; ++i) {
      connection->free.push_back(i);
      connection->commands[i].file = {.kind = Kind::file, .connection = connection.get(), .index = i};
    }
    connections_.push_back(std::move(connection));
    start_receive(*connections_.back());
  }

  // The memory stays: an operation may still be in flight, and a measurement has few connections.
  void received(Connection& c, int result) {
    if (result <= 0) {
      c.closing = true;
      ::close(c.fd);
      return;
    }
    c.rx_end += static_cast<std::size_t>(result);
    for (;;) {
      if (c.rx_end - c.rx_at < header_bytes) break;
      Header header;
      std::copy_n(c.rx.data() + c.rx_at, header_bytes, header.begin());
      const std::uint32_t length = data_length_of(header);
      if (c.rx_end - c.rx_at < header_bytes + padded(length)) break;
      const std::byte* data = c.rx.data() + c.rx_at + header_bytes;
      c.rx_at += header_bytes + padded(length);
      request(c, header, data, length);
    }
    start_receive(c);
  }

  void request(Connection& c, const Header& header, const std::byte* data, std::uint32_t length) {
    const Opcode opcode = opcode_of(header);
    if (opcode == Opcode::login_request) return login(c, header, {data, length});
    if (opcode == Opcode::scsi_command) return command(c, header, data, length);
    if (opcode == Opcode::data_out) return data_out(c, header, data, length);
    if (opcode == Opcode::logout_request) return answer_logout(c, header);
    std::fprintf(stderr, "limit: opcode %u is not spoken here\n", static_cast<unsigned>(opcode));
  }

  Command& take(Connection& c, std::uint32_t& index) {
    if (c.free.empty()) {
      std::fprintf(stderr, "limit: more than %u commands\n", depth_max);
      std::exit(1);
    }
    index = c.free.back();
    c.free.pop_back();
    Command& one = c.commands[index];
    one.length = one.received = 0;
    one.write = false;
    if (!one.data) one.data = std::make_unique_for_overwrite<std::byte[]>(transfer_max);
    return one;
  }

  void login(Connection& c, const Header& header, std::span<const std::byte> text) {
    std::string words;
    for (const std::byte byte : text) words.push_back(static_cast<char>(byte));
    const std::string_view digits = iqn_index(words);
    if (!digits.empty()) {
      c.file = files_[static_cast<std::size_t>(std::stoul(std::string(digits))) % files_.size()];
      struct stat status{};
      ::fstat(c.file, &status);
      c.blocks = static_cast<std::uint64_t>(status.st_size) / 512;
    }
    if (words.find("FirstBurstLength=") != std::string::npos &&
        words.find("FirstBurstLength=262144") == std::string::npos)
      std::fprintf(stderr, "limit: knows no R2T, so it wants FirstBurstLength=262144\n");
    std::uint32_t index = 0;
    Command& answer = take(c, index);
    const unsigned next = get8(header.data() + 1) & 3U;
    std::string keys;
    if (next == 3) {
      for (const char* key : {"HeaderDigest=None", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes",
                              "MaxRecvDataSegmentLength=262144", "FirstBurstLength=262144"})
        keys += std::string(key) + '\0';
    }
    std::transform(keys.begin(), keys.end(), answer.data.get(), [](char ch) { return static_cast<std::byte>(ch); });
    answer.length = static_cast<std::uint32_t>(keys.size());
    answer.header = {};
    auto* h = answer.header.data();
    h[0] = std::byte{0x23};
    h[1] = header[1];
    std::copy_n(header.data() + 8, 6, h + 8);
    put<std::uint16_t>(h + 14, 1);
    std::copy_n(header.data() + 16, 4, h + 16);
    put<std::uint32_t>(h + 24, c.stat_sn++);
    put<std::uint32_t>(h + 28, c.exp_cmd_sn);
    put<std::uint32_t>(h + 32, c.exp_cmd_sn + depth_max - 1);
    set_data_length(answer.header, answer.length);
    c.ready.push_back(index);
  }

  void answer_logout(Connection& c, const Header& header) {
    std::uint32_t index = 0;
    Command& answer = take(c, index);
    answer.header = {};
    auto* h = answer.header.data();
    h[0] = std::byte{0x26};
    h[1] = std::byte{0x80};
    std::copy_n(header.data() + 16, 4, h + 16);
    put<std::uint32_t>(h + 24, c.stat_sn++);
    c.ready.push_back(index);
  }

  void command(Connection& c, const Header& header, const std::byte* data, std::uint32_t length) {
    ++c.exp_cmd_sn;
    std::uint32_t index = 0;
    Command& one = take(c, index);
    one.header = header;
    const auto* cdb = header.data() + 32;
    const std::uint8_t code = get8(cdb);
    const std::uint32_t expected = get<std::uint32_t>(header.data() + 20);
    if (code == 0x2a) {  // WRITE(10)
      one.write = true;
      one.length = std::min(expected, transfer_max);
      std::copy_n(data, length, one.data.get());
      one.received = length;
      if (one.received == one.length) start_file(c, one);
    } else if (code == 0x28) {  // READ(10)
      one.length = std::min(expected, transfer_max);
      start_file(c, one);
    } else {
      if (code == 0x9e) {  // READ CAPACITY(16)
        one.length = 32;
        std::fill_n(one.data.get(), 32, std::byte{0});
        put<std::uint64_t>(one.data.get(), c.blocks - 1);
        put<std::uint32_t>(one.data.get() + 8, 512);
      }
      finish(c, index);
    }
  }

  // Unsolicited data only: FirstBurstLength is the largest block of the workloads, so no R2T is ever needed.
  void data_out(Connection& c, const Header& header, const std::byte* data, std::uint32_t length) {
    for (Command& one : c.commands) {
      if (!one.write || one.received == one.length || task_tag_of(one.header) != task_tag_of(header)) continue;
      std::copy_n(data, length, one.data.get() + get<std::uint32_t>(header.data() + 40));
      one.received += length;
      if (one.received == one.length) start_file(c, one);
      return;
    }
  }

  void start_file(Connection& c, Command& one) {
    const std::uint64_t offset = std::uint64_t{get<std::uint32_t>(one.header.data() + 34)} * 512;
    prepare(one.file, [&](auto* sqe) {
      if (one.write)
        ::io_uring_prep_write(sqe, c.file, one.data.get(), one.length, offset);
      else
        ::io_uring_prep_read(sqe, c.file, one.data.get(), one.length, offset);
    });
  }

  void file_done(Connection& c, const Operation& operation, int result) {
    if (result != static_cast<int>(c.commands[operation.index].length))
      std::fprintf(stderr, "limit: the file answered %d\n", result);
    finish(c, operation.index);
  }

  // Turns the request's header into the answer's: one Data-In with status, or a SCSI Response.
  void finish(Connection& c, std::uint32_t index) {
    Command& one = c.commands[index];
    if (one.write) one.length = 0;
    Header answer{};
    auto* h = answer.data();
    const bool has_data = one.length != 0;
    h[0] = static_cast<std::byte>(has_data ? Opcode::data_in : Opcode::scsi_response);
    h[1] = has_data ? std::byte{0x81} : std::byte{0x80};
    set_data_length(answer, one.length);
    std::copy_n(one.header.data() + 16, 4, h + 16);
    put<std::uint32_t>(h + 20, has_data ? no_tag : 0);
    put<std::uint32_t>(h + 24, c.stat_sn++);
    put<std::uint32_t>(h + 28, c.exp_cmd_sn);
    put<std::uint32_t>(h + 32, c.exp_cmd_sn + depth_max - 1);
    one.header = answer;
    c.ready.push_back(index);
  }

  void start_send(Connection& c) {
    if (c.closing || c.send_busy || c.ready.empty()) return;
    std::size_t count = 0;
    while (c.sending.size() < c.ready.size() && count + 3 <= vectors_max) {
      Command& one = c.commands[c.ready[c.sending.size()]];
      c.sending.push_back(c.ready[c.sending.size()]);
      c.vectors[count++] = {one.header.data(), header_bytes};
      if (one.length == 0) continue;
      for (std::uint32_t pad = one.length; pad < padded(one.length); ++pad) one.data[pad] = std::byte{0};
      c.vectors[count++] = {one.data.get(), padded(one.length)};
    }
    c.ready.erase(c.ready.begin(), c.ready.begin() + static_cast<std::ptrdiff_t>(c.sending.size()));
    c.message.msg_iov = c.vectors.data();
    c.message.msg_iovlen = count;
    c.send_busy = true;
    prepare(c.send_operation,
            [&](auto* sqe) { ::io_uring_prep_sendmsg(sqe, c.fd, &c.message, MSG_NOSIGNAL | MSG_WAITALL); });
  }

  void sent(Connection& c, int result) {
    if (result <= 0) return;
    std::size_t left = static_cast<std::size_t>(result);
    while (c.message.msg_iovlen != 0 && left >= c.message.msg_iov->iov_len) {
      left -= c.message.msg_iov->iov_len;
      ++c.message.msg_iov;
      --c.message.msg_iovlen;
    }
    if (c.message.msg_iovlen != 0) {  // a short send: go on with the rest
      c.message.msg_iov->iov_base = static_cast<std::byte*>(c.message.msg_iov->iov_base) + left;
      c.message.msg_iov->iov_len -= left;
      prepare(c.send_operation,
              [&](auto* sqe) { ::io_uring_prep_sendmsg(sqe, c.fd, &c.message, MSG_NOSIGNAL | MSG_WAITALL); });
      return;
    }
    c.free.insert(c.free.end(), c.sending.begin(), c.sending.end());
    c.sending.clear();
    c.send_busy = false;
  }

  io_uring ring_{};
  int listener_ = -1;
  Operation accept_{.kind = Kind::accept};
  std::vector<int> files_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace
}  // namespace lunaris::bench

int main(int argc, char** argv) {
  if (argc < 4 || std::string_view{argv[1]} != "--port") {
    std::fprintf(stderr, "usage: limit --port N FILE...   (the target whose name ends in i serves file number i)\n");
    return 2;
  }
  std::vector<int> files;
  for (int i = 3; i < argc; ++i) {
    files.push_back(::open(argv[i], O_RDWR | O_CLOEXEC));
    if (files.back() < 0) {
      std::perror(argv[i]);
      return 1;
    }
  }
  lunaris::bench::Limit(static_cast<std::uint16_t>(std::atoi(argv[2])), files).run();
}
