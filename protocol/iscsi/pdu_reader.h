// PduReader: a connection's byte stream as PDUs. The session reads large chunks, the reader walks over them and lets
// the session decide where each data segment goes. Used by the session and by our test initiator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/bytes/crc32c.h"
#include "protocol/iscsi/codec.h"

namespace lunaris::iscsi {

/// What the reader checks a stream against. May be changed between PDUs: the next header is read under the new ones.
struct ReaderLimits {
  /// Our MaxRecvDataSegmentLength: the largest data segment the peer may send, in bytes.
  std::uint32_t max_recv_data_segment_length = 8192;
  std::uint32_t ahs_length_max = ahs_bytes_max;
  bool header_digest = false;
  bool data_digest = false;
};

/// Flow, per PDU:
///
///   feed(chunk) -> next() -> need_input          everything was consumed: read more, feed again
///                         -> header              BHS + AHS are here and their digest is right: header(), ahs()
///                              |  data_length() == 0: nothing to decide
///                              |  else exactly one of
///                              |    use_in_place()   the data where it lies; only when is_whole()
///                              |    place(memory..)  what is here is copied, the rest is `missing()`
///                              |    discard()        nobody wants it (a rejected PDU); digest still verified
///                         -> complete            the data segment is all there and its digest is right
///                         -> data_digest_error   ... and its digest is wrong; the stream goes on (recoverable)
///                         -> header_digest_error, data_too_long, ahs_too_long     fatal: close the connection
///
/// Reading straight into the I/O buffer: after need_input, `missing()` names the memory still to be filled by place().
/// The session reads with one vectored read into { missing()..., fresh chunk }, then calls direct_filled(n) for the
/// bytes that went to missing() and feed() for those in the chunk:
///
///   loop:
///     vectors = reader.missing() + chunk
///     n = co_await stream.read(vectors)
///     direct = min(n, reader.missing_bytes())
///     reader.direct_filled(direct); reader.feed(chunk.first(n - direct))
///     for (auto event = reader.next(); event != need_input; event = reader.next()) handle(event)
///
/// Without place() missing() is empty and the same loop works for headers and small PDUs.
/// Memory: the fed bytes must stay until need_input, and as long as somebody uses a span of use_in_place(). The header
/// is copied, so header() and ahs() stay valid whatever happens to the chunk, until next() is called after `complete`.
/// Never allocates. One owner, no thread of its own.
class PduReader {
 public:
  enum class Event : std::uint8_t {
    need_input,
    header,
    complete,
    data_digest_error,
    header_digest_error,  // fatal at ErrorRecoveryLevel 0 (RFC 7143 7.7): the length fields cannot be trusted
    data_too_long,        // fatal: DataSegmentLength > max_recv_data_segment_length; header() tells which PDU
    ahs_too_long,         // fatal
  };
  static constexpr std::size_t destinations_max = 8;

  explicit PduReader(ReaderLimits limits = {}) noexcept : limits_(limits) {}

  void set_limits(ReaderLimits limits) noexcept { limits_ = limits; }
  [[nodiscard]] const ReaderLimits& limits() const noexcept { return limits_; }

  /// Hands over the next bytes of the stream. All earlier ones must have been consumed (next() said need_input).
  void feed(std::span<const std::byte> chunk) noexcept;
  /// Goes on until there is something to say. After a fatal event it says the same again.
  [[nodiscard]] Event next() noexcept;

  // From `header` until next() is called after `complete` or `data_digest_error`; after a fatal event for good.
  [[nodiscard]] BhsView header() const noexcept { return BhsView{header_.data(), bhs_bytes}; }
  [[nodiscard]] std::span<const std::byte> ahs() const noexcept;
  [[nodiscard]] std::uint32_t data_length() const noexcept { return data_length_; }

  // On `header` only, data_length() > 0, exactly one of use_in_place, place, discard.
  /// All of the data segment is in the chunk already (its padding and digest need not be).
  [[nodiscard]] bool is_whole() const noexcept { return input_.size() >= data_length_; }
  [[nodiscard]] std::span<const std::byte> use_in_place() noexcept;
  /// At most destinations_max pieces, together exactly data_length() bytes; empty pieces are allowed.
  void place(std::span<const std::span<std::byte>> destinations) noexcept;
  void place(std::span<std::byte> destination) noexcept;
  void discard() noexcept;

  /// What place() still waits for, in order; empty when nothing does.
  [[nodiscard]] std::span<const std::span<std::byte>> missing() const noexcept;
  [[nodiscard]] std::size_t missing_bytes() const noexcept;
  /// The first `count` bytes of missing() have been filled by the caller.
  void direct_filled(std::size_t count) noexcept;

  /// True between PDUs: nothing of the next one has been consumed yet.
  [[nodiscard]] bool is_at_boundary() const noexcept;
  /// Fed bytes not consumed yet. After the last Login Request's `complete` these are bytes the peer sent early; a
  /// connection that moves to another worker copies them and feeds them there (RELIABILITY PDU-3).
  [[nodiscard]] std::span<const std::byte> unread() const noexcept { return input_; }
  /// Forgets unread(): the caller has taken them.
  void drop_unread() noexcept { input_ = {}; }

 private:
  enum class State : std::uint8_t { header, decide, data, trailer, failed };
  enum class Sink : std::uint8_t { none, in_place, memory, discard };

  [[nodiscard]] bool gather_header() noexcept;
  [[nodiscard]] Event check_header() noexcept;
  [[nodiscard]] bool consume_data() noexcept;
  [[nodiscard]] Event finish_pdu() noexcept;
  [[nodiscard]] Event fail(Event event) noexcept;
  void begin_data(Sink sink) noexcept;
  void account(std::span<const std::byte> data) noexcept;
  void advance_destinations(std::size_t count) noexcept;
  [[nodiscard]] std::span<const std::byte> take(std::size_t count) noexcept;

  ReaderLimits limits_;
  State state_ = State::header;
  Sink sink_ = Sink::none;
  Event failure_ = Event::need_input;
  std::span<const std::byte> input_;

  std::array<std::byte, bhs_bytes + ahs_bytes_max + digest_bytes> header_{};
  std::size_t header_have_ = 0;
  std::uint32_t ahs_length_ = 0;
  std::uint32_t data_length_ = 0;
  std::uint32_t data_left_ = 0;  // bytes of the data segment not consumed

  std::array<std::span<std::byte>, destinations_max> destinations_{};
  std::size_t destination_first_ = 0;
  std::size_t destination_end_ = 0;

  bool digest_expected_ = false;  // of this PDU's data segment
  bytes::Crc32c data_crc_;
  std::array<std::byte, 3 + digest_bytes> trailer_{};
  std::size_t trailer_have_ = 0;
  std::size_t trailer_need_ = 0;
};

}  // namespace lunaris::iscsi
