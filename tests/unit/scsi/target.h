// Target: a whole SCSI target in one thread for tests: a scriptable device, its volume and unit, nexuses on stepped
// workers.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/scsi/fields.h"
#include "protocol/scsi/sense.h"
#include "server/scsi/logical_unit.h"
#include "server/scsi/lun.h"
#include "server/scsi/nexus.h"
#include "tests/support/scripted_mover.h"
#include "tests/support/stepped_worker.h"

namespace lunaris::test {

using Bytes = std::vector<std::uint8_t>;

/// What the test wants of the device and what the device has seen; shared with its channels.
struct DeviceScript {
  std::vector<std::byte> memory;
  std::optional<backends::BackendError> read_error, write_error, flush_error, discard_error;
  bool reads_wait = false;  // reads wait for `release`
  struct Waiting {
    runtime::Worker* worker;
    runtime::Signal* signal;
  };
  std::deque<Waiting> waiting;
  unsigned reads = 0, writes = 0, flushes = 0, discards = 0, zeroings = 0, forced_writes = 0, channels = 0;
  bool last_may_discard = false;
  std::vector<backends::Extent> extents;  // empty: all mapped

  void release() {
    reads_wait = false;
    while (!waiting.empty()) {
      runtime::Worker* const before = runtime::Worker::exchange_current(waiting.front().worker);
      waiting.front().signal->set();
      runtime::Worker::exchange_current(before);
      waiting.pop_front();
    }
  }
};

class ScriptedChannel final : public backends::BlockChannel {
 public:
  explicit ScriptedChannel(DeviceScript& script) : script_(script) { ++script_.channels; }
  ~ScriptedChannel() override { --script_.channels; }

  runtime::Task<backends::Result<backends::Payload>> read(backends::ByteRange range) override {
    ++script_.reads;
    if (script_.reads_wait) {
      runtime::Signal signal;
      script_.waiting.push_back({runtime::Worker::current(), &signal});
      co_await signal.wait();
    }
    if (script_.read_error) co_return make_error_code(*script_.read_error);
    REQUIRE(range.length <= transfer_bytes_max);
    REQUIRE(range.length != 0);
    backends::Payload payload;
    // Two segments, so that nothing relies on one.
    const std::span<const std::byte> bytes = at(range);
    payload.append(bytes.first(bytes.size() / 3));
    payload.append(bytes.subspan(bytes.size() / 3));
    co_return std::move(payload);
  }
  runtime::Task<backends::Result<>> write(std::uint64_t offset, std::span<const iovec> data, backends::WriteFlags flags,
                                          int) override {
    ++script_.writes;
    if (flags.force_unit_access) ++script_.forced_writes;
    if (script_.write_error) co_return make_error_code(*script_.write_error);
    for (const iovec& segment : data) {
      if (segment.iov_len == 0) continue;
      std::memcpy(at({offset, segment.iov_len}).data(), segment.iov_base, segment.iov_len);
      offset += segment.iov_len;
    }
    co_return backends::Result<>{};
  }
  runtime::Task<backends::Result<>> flush() override {
    ++script_.flushes;
    if (script_.flush_error) co_return make_error_code(*script_.flush_error);
    co_return backends::Result<>{};
  }
  runtime::Task<backends::Result<>> discard(backends::ByteRange range) override {
    ++script_.discards;
    if (script_.discard_error) co_return make_error_code(*script_.discard_error);
    std::memset(at(range).data(), 0, range.length);
    co_return backends::Result<>{};
  }
  runtime::Task<backends::Result<>> write_zeroes(backends::ByteRange range, bool may_discard) override {
    ++script_.zeroings;
    script_.last_may_discard = may_discard;
    std::memset(at(range).data(), 0, range.length);
    co_return backends::Result<>{};
  }
  runtime::Task<backends::Result<std::vector<backends::Extent>>> extents(backends::ByteRange range) override {
    std::vector<backends::Extent> found;
    for (const backends::Extent& extent : script_.extents) {
      const std::uint64_t start = std::max(extent.range.offset, range.offset);
      const std::uint64_t end = std::min(extent.range.end(), range.end());
      if (start < end) found.push_back({{start, end - start}, extent.state});
    }
    if (found.empty()) found.push_back({range, backends::ExtentState::mapped});
    co_return std::move(found);
  }

 private:
  std::span<std::byte> at(backends::ByteRange range) {
    REQUIRE(range.offset <= script_.memory.size());
    REQUIRE(range.length <= script_.memory.size() - range.offset);
    return std::span(script_.memory).subspan(range.offset, range.length);
  }
  DeviceScript& script_;
};

class ScriptedDevice final : public backends::BlockDevice {
 public:
  ScriptedDevice(std::shared_ptr<DeviceScript> script, backends::Geometry geometry)
      : script_(std::move(script)), geometry_(geometry) {
    script_->memory.resize(geometry.size_bytes);
  }
  [[nodiscard]] const backends::Geometry& geometry() const noexcept override { return geometry_; }
  backends::Result<std::unique_ptr<backends::BlockChannel>> open_channel(runtime::Worker&) override {
    return std::unique_ptr<backends::BlockChannel>(std::make_unique<ScriptedChannel>(*script_));
  }
  backends::Result<> resize(std::uint64_t size_bytes) override {
    script_->memory.resize(size_bytes);
    geometry_.size_bytes = size_bytes;
    return {};
  }
  [[nodiscard]] std::uint64_t allocated_bytes() const override { return geometry_.size_bytes; }

 private:
  std::shared_ptr<DeviceScript> script_;
  backends::Geometry geometry_;
};

/// A command with everything it refers to.
struct Running {
  Running(runtime::Worker& worker, Bytes the_cdb, std::uint32_t data_in_max, Bytes data_out)
      : cdb(std::move(the_cdb)), mover(worker, data_in_max, data_out) {
    if (cdb.size() < 16) cdb.resize(16);
    command.cdb = cdb;
    command.data_in_max = data_in_max;
    command.data_out_max = static_cast<std::uint32_t>(data_out.size());
    command.data = &mover;
  }
  Bytes cdb;
  ScriptedMover mover;
  scsi_server::Command command;
  bool ended = false;

  [[nodiscard]] scsi::SenseData sense() const {
    const std::optional<scsi::SenseData> data = scsi::decode_sense(command.sense.bytes());
    return data.value_or(scsi::SenseData{});
  }
  [[nodiscard]] bool is_good() const { return ended && !command.aborted && command.status == scsi::Status::good; }
  [[nodiscard]] bool failed_with(scsi::SenseKey key, scsi::AdditionalSense additional) const {
    return ended && command.status == scsi::Status::check_condition && sense().key == key &&
           sense().additional == additional;
  }
  [[nodiscard]] bool refused_with(scsi::AdditionalSense additional) const {
    return failed_with(scsi::SenseKey::illegal_request, additional);
  }
};

inline runtime::Task<> run_to_its_end(scsi_server::Nexus& nexus, Running& running) {
  co_await nexus.execute(running.command);
  running.ended = true;
}

inline backends::Geometry thin_geometry(std::uint64_t size_bytes = std::uint64_t{1} << 20) {
  backends::Geometry geometry;
  geometry.size_bytes = size_bytes;
  geometry.discard_granularity = 4096;
  geometry.discard_reads_zero = true;
  geometry.thin = true;
  geometry.volatile_cache = true;
  return geometry;
}

inline volume::View view_of(std::uint64_t size_bytes, std::uint32_t block_bytes = 512) {
  volume::View view;
  view.size_bytes = size_bytes;
  view.block_bytes = block_bytes;
  return view;
}

/// A volume with its unit.
struct Disk {
  Disk(SteppedWorker& the_management, backends::Geometry geometry, volume::View view)
      : management(the_management), script(std::make_shared<DeviceScript>()) {
    volume::Identity identity;
    identity.name = "disk";
    for (std::size_t index = 0; index < identity.uuid.size(); ++index) {
      identity.uuid[index] = static_cast<std::uint8_t>(0xf0 + index);
    }
    volume = std::make_shared<volume::Volume>(*management, identity, std::make_unique<ScriptedDevice>(script, geometry),
                                              std::move(view));
    unit = std::make_shared<scsi_server::LogicalUnit>(*management, volume);
  }
  SteppedWorker& management;
  std::shared_ptr<DeviceScript> script;
  std::shared_ptr<volume::Volume> volume;
  std::shared_ptr<scsi_server::LogicalUnit> unit;
};

inline scsi_server::NexusIdentity identity_of(const std::string& initiator) {
  return {.initiator_port = initiator + ",i,0x00023d000001",
          .target_port = "iqn.2026-01.io.example:db1,t,0x0001",
          .target_device = "iqn.2026-01.io.example:db1",
          .relative_target_port = 1};
}

/// One disk at LUN 0, one nexus, its first unit attention taken. Two workers: `worker` and `other`.
class Target {
 public:
  explicit Target(backends::Geometry geometry = thin_geometry(), std::optional<volume::View> view = std::nullopt,
                  bool read_only = false)
      : disk(worker, geometry, view.value_or(view_of(geometry.size_bytes))) {
    auto entries = std::make_shared<scsi_server::LunMap>();
    entries->entries[0] = {disk.unit, read_only};
    map = entries;
    nexus = worker.call(
        [&] { return std::make_unique<scsi_server::Nexus>(*worker, identity_of("iqn.2026-01.io.example:host"), map); });
    static_cast<void>(run({0x00}));
  }
  ~Target() {
    close(worker, *nexus);
    worker.call([&] { nexus.reset(); });
    worker.start(disk.volume->close());
    step();
    REQUIRE(worker.running() == 0);
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  void step() { test::settle({&worker, &other}); }
  void close(SteppedWorker& of, scsi_server::Nexus& closing) {
    of.start(closing.close());
    step();
  }

  std::unique_ptr<Running> start(SteppedWorker& of, scsi_server::Nexus& through, Bytes cdb,
                                 std::uint32_t data_in_max = 0, Bytes data_out = {}, std::uint64_t lun = 0) {
    auto running = std::make_unique<Running>(*of, std::move(cdb), data_in_max, std::move(data_out));
    running->command.lun = lun;
    of.start(run_to_its_end(through, *running));
    return running;
  }
  std::unique_ptr<Running> start(Bytes cdb, std::uint32_t data_in_max = 0, Bytes data_out = {}) {
    return start(worker, *nexus, std::move(cdb), data_in_max, std::move(data_out));
  }
  /// To its end.
  std::unique_ptr<Running> run(Bytes cdb, std::uint32_t data_in_max = 0, Bytes data_out = {}, std::uint64_t lun = 0) {
    std::unique_ptr<Running> running = start(worker, *nexus, std::move(cdb), data_in_max, std::move(data_out), lun);
    step();
    REQUIRE(running->ended);
    REQUIRE_FALSE(running->mover.read_too_far);
    REQUIRE_FALSE(running->mover.out_of_order);
    return running;
  }

  SteppedWorker worker{0};
  SteppedWorker other{1};
  Disk disk;
  std::shared_ptr<const scsi_server::LunMap> map;
  std::unique_ptr<scsi_server::Nexus> nexus;
};

/// CDBs of the block commands.
inline Bytes cdb10(std::uint8_t opcode, std::uint32_t lba, std::uint16_t count, std::uint8_t flags = 0) {
  Bytes cdb(10);
  cdb[0] = opcode;
  cdb[1] = flags;
  scsi::store32(cdb, 2, lba);
  scsi::store16(cdb, 7, count);
  return cdb;
}
inline Bytes cdb12(std::uint8_t opcode, std::uint32_t lba, std::uint32_t count, std::uint8_t flags = 0) {
  Bytes cdb(12);
  cdb[0] = opcode;
  cdb[1] = flags;
  scsi::store32(cdb, 2, lba);
  scsi::store32(cdb, 6, count);
  return cdb;
}
inline Bytes cdb16(std::uint8_t opcode, std::uint64_t lba, std::uint32_t count, std::uint8_t flags = 0) {
  Bytes cdb(16);
  cdb[0] = opcode;
  cdb[1] = flags;
  scsi::store64(cdb, 2, lba);
  scsi::store32(cdb, 10, count);
  return cdb;
}

/// Bytes that differ from block to block.
inline Bytes pattern(std::size_t size, unsigned seed = 1) {
  Bytes bytes(size);
  for (std::size_t index = 0; index < size; ++index) {
    bytes[index] = static_cast<std::uint8_t>((index * 7 + index / 512 * 13 + seed * 31) & 0xff);
  }
  return bytes;
}

}  // namespace lunaris::test
