// The file of a volume's reservations: lines of text with a checksum at the end.
//
//   lunaris-reservations 1
//   reservation 5                          TYPE in decimal; absent: none
//   registrant 00000000deadbeef 1 holder iqn.2026-01.io.example:a,i,0x00023d000001 iqn.2026-01.io.example:t,t,0x0001
//   registrant 00000000deadbee2 1 - ...    key, relative target port, holder or -, initiator port, target port
//   end 0123456789abcdef                   FNV-1a over everything before this line
#include "server/volume/reservation_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>
#include <vector>

namespace lunaris::volume {
namespace {

constexpr std::string_view first_line = "lunaris-reservations 1\n";
/// Two names of 223 bytes with what an iSCSI port adds, the numbers, and a margin.
constexpr std::size_t line_bytes_max = 640;
constexpr std::size_t file_bytes_max = (ReservationTable::registrants_max + 8) * line_bytes_max;

std::string hexadecimal(std::uint64_t value) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t at = text.size(); at-- > 0; value >>= 4) text[at] = digits[value & 0xf];
  return text;
}

std::uint64_t checksum(std::string_view text) noexcept {
  std::uint64_t sum = 0xcbf29ce484222325U;
  for (const char character : text) sum = (sum ^ static_cast<unsigned char>(character)) * 0x100000001b3U;
  return sum;
}

/// The words of a line; the empty ones as well.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == std::string_view::npos) return words;
    line.remove_prefix(space + 1);
  }
}

template <class Number>
bool parse(std::string_view word, int base, Number& out) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out, base);
  return error == std::errc{} && end == word.data() + word.size();
}

bool take_reservation(const std::vector<std::string_view>& words, ReservationTable& table) {
  std::uint8_t code = 0;
  if (words.size() != 2 || table.reservation || !parse(words[1], 10, code)) return false;
  const std::optional<ReservationType> type = reservation_type(code);
  if (!type) return false;
  table.reservation = PersistentReservation{*type, {}};
  return true;
}

bool take_registrant(const std::vector<std::string_view>& words, ReservationTable& table) {
  if (words.size() != 6 || table.registrants.size() == ReservationTable::registrants_max) return false;
  Registrant registrant;
  if (!parse(words[1], 16, registrant.key) || registrant.key == 0) return false;
  if (!parse(words[2], 10, registrant.nexus.relative_target_port)) return false;
  registrant.nexus.initiator_port = words[4];
  registrant.nexus.target_port = words[5];
  if (words[4].empty() || words[5].empty() || table.find(words[4], words[5]) != nullptr) return false;
  if (words[3] == "holder") {
    if (!table.reservation || !table.reservation->holder.initiator_port.empty()) return false;
    table.reservation->holder = registrant.nexus;
  } else if (words[3] != "-") {
    return false;
  }
  table.registrants.push_back(std::move(registrant));
  return true;
}

bool has_a_holder(const ReservationTable& table) {
  if (!table.reservation) return true;
  if (is_for_all_registrants(table.reservation->type)) return !table.registrants.empty();
  return !table.reservation->holder.initiator_port.empty();
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

std::string encode_reservations(const ReservationTable& table) {
  std::string text(first_line);
  if (table.survives_power_loss) {
    if (table.reservation) {
      text += "reservation " + std::to_string(static_cast<unsigned>(table.reservation->type)) + "\n";
    }
    for (const Registrant& each : table.registrants) {
      const bool is_holder = table.reservation && table.reservation->holder == each.nexus;
      text += "registrant " + hexadecimal(each.key) + " " + std::to_string(each.nexus.relative_target_port) +
              (is_holder ? " holder " : " - ") + each.nexus.initiator_port + " " + each.nexus.target_port + "\n";
    }
  } else {
    text += "off\n";
  }
  text += "end " + hexadecimal(checksum(text)) + "\n";
  return text;
}

std::optional<ReservationTable> decode_reservations(std::string_view text) {
  constexpr std::size_t last_line_bytes = 4 + 16 + 1;
  if (text.size() < first_line.size() + last_line_bytes || !text.starts_with(first_line)) return std::nullopt;
  std::string_view body = text.substr(0, text.size() - last_line_bytes);
  if (text.substr(body.size()) != "end " + hexadecimal(checksum(body)) + "\n") return std::nullopt;
  body.remove_prefix(first_line.size());
  ReservationTable table;
  if (body == "off\n") return table;
  table.survives_power_loss = true;
  while (!body.empty()) {
    const std::vector<std::string_view> words = words_of(take_line(body));
    const bool is_understood = words[0] == "reservation"  ? take_reservation(words, table)
                               : words[0] == "registrant" ? take_registrant(words, table)
                                                          : false;
    if (!is_understood) return std::nullopt;
  }
  if (!has_a_holder(table)) return std::nullopt;
  return table;
}

ReservationFile::ReservationFile(runtime::FileOps& files, std::string folder, std::string name)
    : files_(files), folder_(std::move(folder)), name_(std::move(name)) {}

ReservationFile::Loaded ReservationFile::load() {
  const runtime::Result<std::string> text = runtime::read_file(files_, path(), file_bytes_max);
  std::string problem;
  if (text.has_value()) {
    is_there_ = true;
    if (std::optional<ReservationTable> table = decode_reservations(*text)) return {std::move(*table), ""};
    problem = "the persistent reservations in " + path() + " are damaged";
  } else {
    if (text.error().value() == ENOENT || text.error().value() == ENOTDIR) return {};
    problem = "the persistent reservations in " + path() + " cannot be read: " + text.error().message();
  }
  Loaded lost;
  lost.table.is_lost = true;
  lost.problem = problem +
                 ". Initiators are refused until one of them sends REPLACE LOST RESERVATION, or until you restore the "
                 "file, or remove it because no cluster uses the volume, and reopen the volume.";
  return lost;
}

std::string ReservationFile::save(const ReservationTable& table) {
  if (!table.survives_power_loss && !is_there_) return "";
  const runtime::Result<> made = files_.make_folder(folder_, 0700);
  if (made.has_error() && made.error().value() != EEXIST) {
    return "cannot make the folder " + folder_ + ": " + made.error().message();
  }
  // A folder that has just been made is there after a power loss only when the one above it says so.
  if (made.has_value()) {
    const std::string above = folder_.substr(0, std::max<std::size_t>(folder_.rfind('/'), 1));
    const runtime::Result<runtime::UniqueFd> parent = files_.open(above, O_RDONLY | O_DIRECTORY, 0);
    if (!parent) return "cannot open " + above + ": " + parent.error().message();
    if (const auto synced = files_.sync(parent->get()); synced.has_error()) {
      return "cannot sync " + above + ": " + synced.error().message();
    }
  }
  // From the first attempt on a file may be there, whatever comes of it.
  is_there_ = true;
  const runtime::Result<> written = runtime::write_file_durably(files_, path(), encode_reservations(table));
  if (written.has_error()) return "cannot write " + path() + ": " + written.error().message();
  return "";
}

}  // namespace lunaris::volume
