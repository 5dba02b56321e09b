// Session: set-up, sending, receiving. See session.h.
#include "tests/bench/session.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>
#include <system_error>

namespace lunaris::bench {
namespace {

constexpr std::size_t vectors_per_send_max = 768;  // below the kernel's IOV_MAX of 1024
constexpr std::size_t receive_bytes_min = 256 * 1024;
constexpr int unit_attentions_max = 32;  // more in a row than any target queues at login

constexpr std::uint8_t status_good = 0x00;
constexpr std::uint8_t status_check_condition = 0x02;
constexpr std::uint8_t status_busy = 0x08;
constexpr std::uint8_t status_task_set_full = 0x28;
constexpr std::uint8_t sense_unit_attention = 0x06;
constexpr std::uint8_t final_bit = 0x80;

// Sense data of a Data Segment: two bytes of length, then fixed (70h) or descriptor (72h) format.
std::uint8_t sense_key_of(std::span<const std::byte> sense) {
  if (sense.size() < 3) return 0;
  const std::uint8_t format = get8(sense.data()) & 0x7fU;
  return get8(sense.data() + (format >= 0x72 ? 1 : 2)) & 0x0fU;
}

std::string describe(std::uint8_t status, std::span<const std::byte> sense) {
  std::string text = "SCSI status " + std::to_string(status);
  if (sense.size() >= 14 && (get8(sense.data()) & 0x7fU) < 0x72)
    text += ", sense key " + std::to_string(sense_key_of(sense)) + ", ASC/ASCQ " +
            std::to_string(get8(sense.data() + 12)) + "/" + std::to_string(get8(sense.data() + 13)) + " (decimal)";
  return text;
}

std::span<const std::byte> sense_in(const std::byte* data, std::uint32_t length) {
  if (length < 2) return {};
  const std::uint32_t sense_length = get<std::uint16_t>(data);
  return {data + 2, std::min(sense_length, length - 2)};
}

void put_lun(Header& header, std::uint16_t lun) {
  // Peripheral addressing below 256, flat addressing above (SAM-5 section 4.7.7).
  const std::uint16_t encoded = lun < 256 ? lun : static_cast<std::uint16_t>(0x4000U | lun);
  put<std::uint16_t>(header.data() + 8, encoded);
}

}  // namespace

Session::Session(const Url& url, const Options& options, unsigned index, bool keep_data, Observer& observer)
    : url_(url),
      observer_(observer),
      block_bytes_(static_cast<std::uint32_t>(options.block_bytes)),
      keep_data_(keep_data) {
  fd_ = connect_to(url, options.wait_port_s);
  parameters_ = log_in(fd_, url, options, index, sequence_);
  clear_unit_attentions();
  read_capacity();
  if (block_bytes_ % block_size_ != 0) throw std::runtime_error("--block-size is no multiple of the logical block");
  make_buffers(options, keep_data);
}

Session::~Session() {
  if (fd_ >= 0) ::close(fd_);
}

void Session::make_buffers(const Options& options, bool keep_data) {
  const bool writes = options.read_percent < 100 || options.verify != Verify::off;
  slots_.resize(options.queue_depth);
  free_.reserve(slots_.size());
  delayed_.reserve(slots_.size());
  if (writes || keep_data) buffers_.resize(slots_.size() * std::size_t{block_bytes_});
  std::uint64_t filler = options.seed * 2654435761U + 1;
  for (std::byte& byte : buffers_) {
    filler = filler * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<std::byte>(filler >> 56);
  }
  for (std::size_t i = slots_.size(); i-- > 0;) {
    slots_[i].index = static_cast<std::uint16_t>(i);
    if (!buffers_.empty()) slots_[i].buffer = buffers_.data() + i * block_bytes_;
    free_.push_back(static_cast<std::uint16_t>(i));
  }
  const std::size_t segments = block_bytes_ / std::min(parameters_.send_segment_max_bytes, block_bytes_) + 1;
  tx_.resize(std::bit_ceil(slots_.size() * (2 + 2 * segments) + 64));
  rx_.resize(std::max(receive_bytes_min, 2 * (std::size_t{parameters_.recv_segment_max_bytes} + 64)));
}

CommandResult Session::execute(std::span<const std::byte> cdb, std::uint32_t in_bytes) {
  Pdu request;
  auto* h = request.header.data();
  h[0] = static_cast<std::byte>(Opcode::scsi_command);
  h[1] = static_cast<std::byte>(final_bit | (in_bytes != 0 ? 0x40U : 0U) | 1U);
  put_lun(request.header, url_.lun);
  put<std::uint32_t>(h + 16, 0x5eU);
  put<std::uint32_t>(h + 20, in_bytes);
  put<std::uint32_t>(h + 24, sequence_.cmd_sn++);
  put<std::uint32_t>(h + 28, sequence_.exp_stat_sn);
  std::copy(cdb.begin(), cdb.end(), h + 32);
  send_pdu(fd_, request, parameters_);
  CommandResult result;
  result.data.resize(in_bytes);
  for (;;) {
    const Pdu answer = receive_pdu(fd_, parameters_);
    current_ = answer.header;
    const Opcode opcode = opcode_of(answer.header);
    const std::uint8_t flags = get8(answer.header.data() + 1);
    if (opcode == Opcode::data_in) {
      const std::uint32_t offset = get<std::uint32_t>(answer.header.data() + 40);
      if (offset > in_bytes || answer.data.size() > in_bytes - offset)
        throw ProtocolError("Data-In beyond what was asked");
      std::copy(answer.data.begin(), answer.data.end(), result.data.begin() + offset);
      const bool has_status = (flags & 1U) != 0;
      note_sequence(has_status);
      if (!has_status) continue;
    } else if (opcode == Opcode::scsi_response) {
      note_sequence(true);
      const auto sense = sense_in(answer.data.data(), static_cast<std::uint32_t>(answer.data.size()));
      result.sense.assign(sense.begin(), sense.end());
    } else if (opcode == Opcode::nop_in && task_tag_of(answer.header) == no_tag) {
      continue;  // a ping at this moment may wait: the answer is due within seconds, the set-up takes milliseconds
    } else {
      throw ProtocolError("unexpected opcode " + std::to_string(static_cast<unsigned>(opcode)) + " during set-up");
    }
    result.status = get8(answer.header.data() + 3);
    return result;
  }
}

void Session::clear_unit_attentions() {
  const std::array<std::byte, 6> test_unit_ready{};
  for (int attempt = 0; attempt < unit_attentions_max; ++attempt) {
    const CommandResult result = execute(test_unit_ready, 0);
    if (result.status == status_good) return;
    const bool passing = result.status == status_busy || result.status == status_task_set_full ||
                         sense_key_of(result.sense) == sense_unit_attention;
    if (!passing) throw std::runtime_error("the unit is not ready: " + describe(result.status, result.sense));
    if (result.status != status_check_condition) ::usleep(10'000);
  }
  throw std::runtime_error("the unit does not become ready");
}

void Session::read_capacity() {
  std::array<std::byte, 16> cdb{};
  cdb[0] = std::byte{0x9e};  // SERVICE ACTION IN(16), READ CAPACITY(16)
  cdb[1] = std::byte{0x10};
  cdb[13] = std::byte{32};
  const CommandResult result = execute(cdb, 32);
  if (result.status != status_good)
    throw std::runtime_error("READ CAPACITY(16): " + describe(result.status, result.sense));
  block_count_ = get<std::uint64_t>(result.data.data()) + 1;
  block_size_ = get<std::uint32_t>(result.data.data() + 8);
  if (block_size_ < 512 || block_count_ == 0) throw std::runtime_error("READ CAPACITY(16) answered nonsense");
}

Slot* Session::free_slot() {
  if (free_.empty() || serial_less(sequence_.max_cmd_sn, sequence_.cmd_sn)) return nullptr;
  return &slots_[free_.back()];
}

void Session::write_command(Header& header, const Slot& slot) const {
  auto* h = header.data();
  const std::uint64_t lba = slot.io.unit * (block_bytes_ / block_size_);
  const std::uint32_t blocks = block_bytes_ / block_size_;
  h[0] = static_cast<std::byte>(Opcode::scsi_command);
  put_lun(header, url_.lun);
  put<std::uint32_t>(h + 16, tag_of(slot));
  put<std::uint32_t>(h + 20, block_bytes_);
  put<std::uint32_t>(h + 24, sequence_.cmd_sn);
  put<std::uint32_t>(h + 28, sequence_.exp_stat_sn);
  if (block_count_ <= std::numeric_limits<std::uint32_t>::max()) {  // READ(10), WRITE(10)
    h[32] = slot.io.write ? std::byte{0x2a} : std::byte{0x28};
    put<std::uint32_t>(h + 34, static_cast<std::uint32_t>(lba));
    put<std::uint16_t>(h + 39, static_cast<std::uint16_t>(blocks));
  } else {  // READ(16), WRITE(16)
    h[32] = slot.io.write ? std::byte{0x8a} : std::byte{0x88};
    put<std::uint64_t>(h + 34, lba);
    put<std::uint32_t>(h + 42, blocks);
  }
}

void Session::issue(Slot& slot, std::uint64_t now_ns) {
  if (!slot.busy) {
    free_.pop_back();
    ++in_flight_;
    slot.busy = true;
    slot.issued_ns = now_ns;
  }
  slot.turn = static_cast<std::uint16_t>((slot.turn + 1U) & 0x7fffU);
  slot.received_bytes = slot.data_sn = slot.r2t_sn = slot.requested_bytes = 0;
  const std::uint32_t first_burst = std::min(parameters_.first_burst_bytes, block_bytes_);
  std::uint32_t immediate = 0;
  if (slot.io.write && parameters_.immediate_data)
    immediate = std::min(parameters_.send_segment_max_bytes, first_burst);
  const bool unsolicited_follows = slot.io.write && !parameters_.initial_r2t && immediate < first_burst;
  TxPdu& pdu = queue(slot.buffer, immediate);
  Header header{};
  write_command(header, slot);
  const unsigned direction = slot.io.write ? 0x20U : 0x40U;
  header[1] = static_cast<std::byte>((unsolicited_follows ? 0U : final_bit) | direction | 1U);
  set_data_length(header, immediate);
  std::copy(header.begin(), header.end(), pdu.header.begin());
  seal(pdu);
  ++sequence_.cmd_sn;
  slot.requested_bytes = immediate;
  if (unsolicited_follows) {
    send_data(slot, immediate, first_burst - immediate, no_tag);
    slot.requested_bytes = first_burst;
  }
}

void Session::reissue_delayed(std::uint64_t now_ns) {
  while (!delayed_.empty() && !serial_less(sequence_.max_cmd_sn, sequence_.cmd_sn)) {
    Slot& slot = slots_[delayed_.back()];
    delayed_.pop_back();
    issue(slot, now_ns);
  }
}

void Session::send_data(Slot& slot, std::uint32_t offset, std::uint32_t length, std::uint32_t transfer_tag) {
  const std::uint32_t end = offset + length;
  for (std::uint32_t data_sn = 0; offset < end; ++data_sn) {
    const std::uint32_t part = std::min(parameters_.send_segment_max_bytes, end - offset);
    TxPdu& pdu = queue(slot.buffer + offset, part);
    Header header{};
    auto* h = header.data();
    h[0] = static_cast<std::byte>(Opcode::data_out);
    h[1] = static_cast<std::byte>(offset + part == end ? final_bit : 0U);
    set_data_length(header, part);
    put_lun(header, url_.lun);
    put<std::uint32_t>(h + 16, tag_of(slot));
    put<std::uint32_t>(h + 20, transfer_tag);
    put<std::uint32_t>(h + 28, sequence_.exp_stat_sn);
    put<std::uint32_t>(h + 36, data_sn);
    put<std::uint32_t>(h + 40, offset);
    std::copy(header.begin(), header.end(), pdu.header.begin());
    seal(pdu);
    offset += part;
  }
}

Session::TxPdu& Session::queue(const std::byte* data, std::uint32_t size) {
  if (tx_tail_ - tx_head_ == tx_.size()) throw ProtocolError("the target asks for more data than commands have");
  TxPdu& pdu = tx_[tx_tail_++ & (tx_.size() - 1)];
  pdu.data = data;
  pdu.data_size = size;
  pdu.header_size = header_bytes;
  pdu.trailer_size = padded(size) - size;
  pdu.trailer = {};
  return pdu;
}

// Computes the digests once the header is complete.
void Session::seal(TxPdu& pdu) {
  if (parameters_.header_digest) {
    put_digest(pdu.header.data() + header_bytes, crc32c({pdu.header.data(), header_bytes}));
    pdu.header_size += 4;
  }
  if (parameters_.data_digest && pdu.data_size != 0) {
    std::uint32_t digest = crc32c({pdu.data, pdu.data_size});
    digest = crc32c({pdu.trailer.data(), pdu.trailer_size}, digest);
    put_digest(pdu.trailer.data() + pdu.trailer_size, digest);
    pdu.trailer_size += 4;
  }
}

bool Session::flush() {
  std::array<iovec, vectors_per_send_max> vectors;
  while (tx_head_ != tx_tail_) {
    std::size_t count = 0;
    std::size_t skip = tx_sent_of_head_;
    const auto add = [&](const std::byte* from, std::size_t size) {
      const std::size_t skipped = std::min(skip, size);
      skip -= skipped;
      // sendmsg takes a non-const pointer and does not write through it.
      if (size > skipped) vectors[count++] = {const_cast<std::byte*>(from) + skipped, size - skipped};
    };
    for (std::size_t at = tx_head_; at != tx_tail_ && count + 3 <= vectors.size(); ++at) {
      const TxPdu& pdu = tx_[at & (tx_.size() - 1)];
      add(pdu.header.data(), pdu.header_size);
      add(pdu.data, pdu.data_size);
      add(pdu.trailer.data(), pdu.trailer_size);
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (sent < 0) throw std::system_error(errno, std::generic_category(), "sendmsg");
    drop_sent(static_cast<std::size_t>(sent));
  }
  return true;
}

// Removes what the socket took from the ring; returns whether the ring is empty.
bool Session::drop_sent(std::size_t sent) {
  tx_sent_of_head_ += sent;
  while (tx_head_ != tx_tail_) {
    const TxPdu& pdu = tx_[tx_head_ & (tx_.size() - 1)];
    const std::size_t size = std::size_t{pdu.header_size} + pdu.data_size + pdu.trailer_size;
    if (tx_sent_of_head_ < size) return false;
    tx_sent_of_head_ -= size;
    ++tx_head_;
  }
  return true;
}

void Session::receive() {
  const ssize_t got = ::recv(fd_, rx_.data() + rx_end_, rx_.size() - rx_end_, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (got < 0) throw std::system_error(errno, std::generic_category(), "recv");
  if (got == 0) throw ProtocolError("the target closed the connection");
  rx_end_ += static_cast<std::size_t>(got);
  while (in_body_ ? take_body() : take_header()) {
  }
  // A body is skipped or fits twice; so moving the rest to the front always leaves room for its end.
  if (rx_at_ == rx_end_) {
    rx_at_ = rx_end_ = 0;
  } else if (rx_at_ > rx_.size() / 2) {
    std::memmove(rx_.data(), rx_.data() + rx_at_, rx_end_ - rx_at_);
    rx_end_ -= rx_at_;
    rx_at_ = 0;
  }
}

bool Session::take_header() {
  const std::size_t size = header_bytes + (parameters_.header_digest ? 4 : 0);
  if (rx_end_ - rx_at_ < size) return false;
  const std::byte* from = rx_.data() + rx_at_;
  std::copy_n(from, header_bytes, current_.begin());
  if (parameters_.header_digest && get_digest(from + header_bytes) != crc32c(current_))
    throw ProtocolError("wrong header digest");
  if (get8(current_.data() + 4) != 0) throw ProtocolError("unexpected additional header segment");
  const std::uint32_t length = data_length_of(current_);
  if (length > parameters_.recv_segment_max_bytes) throw ProtocolError("data segment longer than we allow");
  rx_at_ += size;
  body_left_ = padded(length) + (parameters_.data_digest && length != 0 ? 4 : 0);
  skip_body_ = opcode_of(current_) == Opcode::data_in && !keep_data_ && !parameters_.data_digest;
  in_body_ = true;
  return true;
}

bool Session::take_body() {
  const std::size_t available = rx_end_ - rx_at_;
  const std::uint32_t length = data_length_of(current_);
  const std::byte* data = nullptr;
  if (skip_body_) {
    const auto part = static_cast<std::uint32_t>(std::min<std::size_t>(available, body_left_));
    rx_at_ += part;
    body_left_ -= part;
    if (body_left_ != 0) return false;
  } else {
    if (available < body_left_) return false;
    data = rx_.data() + rx_at_;
    const std::uint32_t with_padding = padded(length);
    if (parameters_.data_digest && length != 0 && get_digest(data + with_padding) != crc32c({data, with_padding}))
      throw ProtocolError("wrong data digest");
    rx_at_ += body_left_;
  }
  in_body_ = false;
  dispatch(data, length);
  return true;
}

void Session::log_out() {
  Pdu request;
  auto* h = request.header.data();
  h[0] = static_cast<std::byte>(static_cast<unsigned>(Opcode::logout_request) | 0x40U);
  h[1] = std::byte{final_bit};  // reason 0: close the session
  put<std::uint32_t>(h + 16, 0x5fU);
  put<std::uint32_t>(h + 24, sequence_.cmd_sn);
  put<std::uint32_t>(h + 28, sequence_.exp_stat_sn);
  send_pdu(fd_, request, parameters_);
  for (int i = 0; i < 64; ++i)
    if (opcode_of(receive_pdu(fd_, parameters_).header) == Opcode::logout_response) return;
  throw ProtocolError("no Logout Response");
}

}  // namespace lunaris::bench
