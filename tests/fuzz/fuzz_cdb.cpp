// SCSI commands as an initiator may send them: any CDB with any data to a small thin volume. Every command must end
// with a status, ask for no byte that is not offered, give no more than is expected, and explain itself when it fails.
// Input: a sequence of {choices, expected length (2), Data-Out length (2), CDB (16), Data-Out}.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/registry.h"
#include "protocol/scsi/fields.h"
#include "protocol/scsi/sense.h"
#include "server/scsi/logical_unit.h"
#include "server/scsi/lun.h"
#include "server/scsi/nexus.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/scripted_mover.h"
#include "tests/support/stepped_worker.h"

namespace lunaris::fuzz {

namespace {

constexpr std::uint64_t volume_bytes = std::uint64_t{1} << 20;
constexpr std::size_t head_bytes = 21;
constexpr std::size_t commands_max = 24;

void ensure(bool holds) {
  if (!holds) std::abort();
}

struct Input {
  std::uint8_t choices = 0;
  std::uint32_t data_in_max = 0;
  std::vector<std::uint8_t> cdb;
  std::vector<std::uint8_t> data_out;
};

std::optional<Input> next_command(std::span<const std::uint8_t>& rest) {
  if (rest.size() < head_bytes) return std::nullopt;
  Input input;
  input.choices = rest[0];
  input.data_in_max = scsi::load16(rest, 1);
  const std::size_t size = std::min<std::size_t>(scsi::load16(rest, 3), rest.size() - head_bytes);
  input.cdb.assign(rest.begin() + 5, rest.begin() + head_bytes);
  rest = rest.subspan(head_bytes);
  input.data_out.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
  rest = rest.subspan(size);
  return input;
}

runtime::Task<> run(scsi_server::Nexus& nexus, scsi_server::Command& command, bool& ended) {
  co_await nexus.execute(command);
  ended = true;
}

runtime::Task<> reset(scsi_server::Nexus& nexus, bool& ended) {
  ended = co_await nexus.reset_logical_unit(0) == scsi_server::TaskManagementResult::complete;
}

void check_outcome(const Input& input, const scsi_server::Command& command, const test::ScriptedMover& mover) {
  ensure(!command.aborted);
  ensure(!mover.read_too_far);
  ensure(!mover.out_of_order);
  ensure(mover.data_in.size() <= input.data_in_max);
  ensure(command.status == scsi::Status::good || command.status == scsi::Status::check_condition ||
         command.status == scsi::Status::reservation_conflict);
  if (command.status == scsi::Status::reservation_conflict) {
    ensure(command.sense.empty());
    ensure(mover.data_in.empty());
  } else if (command.status == scsi::Status::good) {
    ensure(command.sense.empty());
    ensure(mover.data_in.size() == std::min<std::uint64_t>(command.data_in_length, input.data_in_max));
  } else {
    const std::optional<scsi::SenseData> sense = scsi::decode_sense(command.sense.bytes());
    ensure(sense.has_value() && sense->key != scsi::SenseKey::no_sense);
    // A fuzzed command is never the volume's fault.
    ensure(sense->key != scsi::SenseKey::hardware_error && sense->key != scsi::SenseKey::medium_error);
  }
}

void execute(test::SteppedWorker& worker, scsi_server::Nexus& nexus, const Input& input) {
  test::ScriptedMover mover(*worker, input.data_in_max, input.data_out);
  scsi_server::Command command;
  command.cdb = input.cdb;
  command.lun = scsi_server::encode_lun(input.choices >> 2 & 1);
  command.attribute = static_cast<scsi_server::TaskAttribute>(input.choices & 3);
  command.data_in_max = input.data_in_max;
  command.data_out_max = static_cast<std::uint32_t>(input.data_out.size());
  command.data = &mover;
  bool ended = false;
  worker.start(run(nexus, command, ended));
  test::settle({&worker});
  ensure(ended);
  check_outcome(input, command, mover);
}

}  // namespace

void fuzz_one(std::span<const std::byte> input) {
  std::vector<std::uint8_t> bytes(input.size());
  std::ranges::transform(input, bytes.begin(), [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  std::span<const std::uint8_t> rest(bytes);

  test::SteppedWorker worker;
  std::string reason;
  backends::OpenRequest request;
  request.name = "fuzz";
  request.size_bytes = volume_bytes;
  auto device = backends::open_backend(request, {{"type", "memory"}}, reason);
  ensure(device.has_value());
  volume::View view;
  view.size_bytes = volume_bytes;
  view.block_bytes = (input.size() & 1) != 0 ? 512 : 4096;
  auto volume = std::make_shared<volume::Volume>(*worker, volume::Identity{}, std::move(*device), view);
  auto map = std::make_shared<scsi_server::LunMap>();
  map->entries[0] = {std::make_shared<scsi_server::LogicalUnit>(*worker, volume), false};
  auto nexus =
      worker.call([&] { return std::make_unique<scsi_server::Nexus>(*worker, scsi_server::NexusIdentity{}, map); });

  for (std::size_t count = 0; count < commands_max; ++count) {
    const std::optional<Input> command = next_command(rest);
    if (!command) break;
    execute(worker, *nexus, *command);
    if ((command->choices & 0x80) != 0) {
      bool ended = false;
      worker.start(reset(*nexus, ended));
      test::settle({&worker});
      ensure(ended);
    }
  }
  worker.start(nexus->close());
  test::settle({&worker});
  worker.call([&] { nexus.reset(); });
  worker.start(volume->close());
  test::settle({&worker});
  ensure(worker.running() == 0);
}

}  // namespace lunaris::fuzz
