// EXTENDED COPY and RECEIVE COPY RESULTS: what is copied, what is refused, and that nobody can name what it cannot see.
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi::SenseKey;

namespace {

/// The NAA designator of the volume whose UUID begins with `first`.
Bytes target_descriptor(Target& target, std::uint64_t lun, std::uint32_t block_bytes = 512) {
  const Bytes page = target.run({0x12, 1, 0x83, 0, 255, 0}, 255, {}, lun)->mover.data_in;
  Bytes descriptor(32);
  descriptor[0] = 0xe4;
  descriptor[4] = page[4] & 0x0f;
  descriptor[5] = page[5] & 0x3f;
  descriptor[7] = page[7];
  std::copy_n(page.begin() + 8, page[7], descriptor.begin() + 8);
  scsi::store(descriptor, 29, 3, block_bytes);
  return descriptor;
}

Bytes segment(std::uint16_t source, std::uint16_t destination, std::uint16_t count, std::uint64_t from,
              std::uint64_t to) {
  Bytes descriptor(28);
  descriptor[0] = 0x02;
  scsi::store16(descriptor, 2, 24);
  scsi::store16(descriptor, 4, source);
  scsi::store16(descriptor, 6, destination);
  scsi::store16(descriptor, 10, count);
  scsi::store64(descriptor, 12, from);
  scsi::store64(descriptor, 20, to);
  return descriptor;
}

Bytes list_of(std::initializer_list<Bytes> targets, std::initializer_list<Bytes> segments, std::uint8_t id = 1,
              std::uint8_t usage = 0) {
  Bytes list(16);
  list[0] = id;
  list[1] = static_cast<std::uint8_t>(usage << 3);
  for (const Bytes& each : targets) list.insert(list.end(), each.begin(), each.end());
  scsi::store16(list, 2, list.size() - 16);
  const std::size_t before = list.size();
  for (const Bytes& each : segments) list.insert(list.end(), each.begin(), each.end());
  scsi::store32(list, 8, list.size() - before);
  return list;
}

Bytes copy_cdb(std::size_t length) {
  Bytes cdb(16);
  cdb[0] = 0x83;
  scsi::store32(cdb, 10, length);
  return cdb;
}

Bytes results_cdb(std::uint8_t service_action, std::uint8_t id) {
  Bytes cdb(16);
  cdb[0] = 0x84;
  cdb[1] = service_action;
  cdb[2] = id;
  scsi::store32(cdb, 10, 255);
  return cdb;
}

std::unique_ptr<Running> copy(Target& target, const Bytes& list) {
  return target.run(copy_cdb(list.size()), 0, list);
}

Bytes medium(const DeviceScript& script, std::size_t offset, std::size_t size) {
  Bytes bytes(size);
  std::memcpy(bytes.data(), script.memory.data() + offset, size);
  return bytes;
}

/// A second disk at LUN 1 of the target's nexus.
struct SecondDisk {
  explicit SecondDisk(Target& the_target, bool mapped = true, bool read_only = false) : target(the_target) {
    volume::Identity identity;
    identity.name = "second";
    identity.uuid.fill(0x5a);
    script = std::make_shared<DeviceScript>();
    volume = std::make_shared<volume::Volume>(
        *target.worker, identity, std::make_unique<ScriptedDevice>(script, thin_geometry()), view_of(1 << 20));
    unit = std::make_shared<scsi_server::LogicalUnit>(*target.worker, volume);
    if (mapped) map(read_only);
  }
  ~SecondDisk() {
    target.worker.start(target.nexus->remap(target.map));
    target.step();
    static_cast<void>(target.run({0x00}));
    target.worker.start(volume->close());
    target.step();
  }
  void map(bool read_only) {
    auto both = std::make_shared<scsi_server::LunMap>(*target.map);
    both->entries[1] = {unit, read_only};
    target.worker.start(target.nexus->remap(both));
    target.step();
    for (const std::uint64_t lun : {lun_0, lun_1}) {
      while (!target.run({0x00}, 0, {}, lun)->is_good()) continue;
    }
  }
  static constexpr std::uint64_t lun_0 = 0, lun_1 = std::uint64_t{1} << 48;
  Target& target;
  std::shared_ptr<DeviceScript> script;
  std::shared_ptr<volume::Volume> volume;
  std::shared_ptr<scsi_server::LogicalUnit> unit;
};

}  // namespace

TEST_CASE("EXTENDED COPY copies within a unit and between units", "[scsi][SPC-4 6.3]") {
  Target target;
  SecondDisk second(target);
  const Bytes data = pattern(100 * 512, 5);
  REQUIRE(target.run(cdb10(0x2a, 3, 100), 0, data)->is_good());
  const Bytes list = list_of({target_descriptor(target, 0), target_descriptor(target, SecondDisk::lun_1)},
                             {segment(0, 1, 100, 3, 7), segment(0, 0, 50, 3, 1000), segment(1, 0, 0, 0, 0)});
  CHECK(copy(target, list)->is_good());
  CHECK(medium(*second.script, 7 * 512, data.size()) == data);
  CHECK(medium(*target.disk.script, 1000 * 512, 50 * 512) == Bytes(data.begin(), data.begin() + 50 * 512));
  const Bytes status = target.run(results_cdb(0x00, 1), 255)->mover.data_in;
  REQUIRE(status.size() == 12);
  CHECK(scsi::load32(status, 0) == 8);
  CHECK(status[4] == 1);                        // completed
  CHECK(scsi::load16(status, 5) == 3);          // segments
  CHECK(scsi::load32(status, 8) == 150 * 512);  // bytes
  CHECK(target.run(results_cdb(0x04, 1), 255)->mover.data_in == Bytes(4));
}

TEST_CASE("EXTENDED COPY within overlapping blocks reads before it writes", "[scsi][SPC-4 6.3]") {
  Target target;
  const Bytes data = pattern(64 * 512, 5);
  REQUIRE(target.run(cdb10(0x2a, 0, 64), 0, data)->is_good());
  CHECK(copy(target, list_of({target_descriptor(target, 0)}, {segment(0, 0, 64, 0, 10)}))->is_good());
  CHECK(medium(*target.disk.script, 10 * 512, data.size()) == data);
}

TEST_CASE("no copy names a unit that its nexus cannot see", "[scsi][SPC-4 6.3][security]") {
  Target target;
  SecondDisk second(target);
  const Bytes hidden = target_descriptor(target, SecondDisk::lun_1);
  target.worker.start(target.nexus->remap(target.map));
  target.step();
  while (!target.run({0x00})->is_good()) continue;
  CHECK(copy(target, list_of({target_descriptor(target, 0), hidden}, {segment(0, 1, 8, 0, 0)}))
            ->failed_with(SenseKey::copy_aborted, copy_target_device_not_reachable));
  CHECK(second.script->writes + second.script->reads == 0);
}

TEST_CASE("EXTENDED COPY writes no unit that is read-only for its nexus", "[scsi][SPC-4 6.3][security]") {
  Target target;
  SecondDisk second(target, false);
  second.map(true);
  const Bytes list =
      list_of({target_descriptor(target, 0), target_descriptor(target, SecondDisk::lun_1)}, {segment(0, 1, 8, 0, 0)});
  CHECK(copy(target, list)->failed_with(SenseKey::data_protect, write_protected));
  CHECK(second.script->writes == 0);
}

TEST_CASE("no copy reads or writes a unit that somebody else has reserved", "[scsi][SPC-4 6.3][security]") {
  Target target;
  SecondDisk second(target);
  const Bytes first_unit = target_descriptor(target, 0);
  const Bytes second_unit = target_descriptor(target, SecondDisk::lun_1);
  auto luns = std::make_shared<scsi_server::LunMap>();
  luns->entries[0] = {second.unit, false};
  auto other = target.worker.call([&] {
    return std::make_unique<scsi_server::Nexus>(*target.worker, identity_of("iqn.2026-01.io.example:other"), luns);
  });
  const auto by_other = [&](Bytes cdb) {
    auto running = target.start(target.worker, *other, std::move(cdb));
    target.step();
    REQUIRE(running->ended);
    return running;
  };
  while (!by_other({0x00})->is_good()) continue;
  REQUIRE(by_other({0x16})->is_good());

  CHECK(copy(target, list_of({first_unit, second_unit}, {segment(0, 1, 8, 0, 0)}))->command.status ==
        scsi::Status::reservation_conflict);
  CHECK(copy(target, list_of({first_unit, second_unit}, {segment(1, 0, 8, 0, 0)}))->command.status ==
        scsi::Status::reservation_conflict);
  CHECK(second.script->reads + second.script->writes == 0);

  REQUIRE(by_other({0x17})->is_good());
  CHECK(copy(target, list_of({first_unit, second_unit}, {segment(0, 1, 8, 0, 0)}))->is_good());
  target.close(target.worker, *other);
  target.worker.call([&] { other.reset(); });
}

TEST_CASE("EXTENDED COPY refuses segments that lead nowhere", "[scsi][SPC-4 6.3]") {
  Target target;
  const Bytes descriptor = target_descriptor(target, 0);
  CHECK(copy(target, list_of({descriptor}, {segment(0, 1, 8, 0, 8)}))
            ->failed_with(SenseKey::copy_aborted, unreachable_copy_target));
  CHECK(copy(target, list_of({descriptor}, {segment(0, 0, 8, 0, 2047)}))
            ->failed_with(SenseKey::copy_aborted, no_additional_sense_information));
  CHECK(copy(target, list_of({descriptor}, {segment(0, 0, 8, ~0ULL, 0)}))
            ->failed_with(SenseKey::copy_aborted, no_additional_sense_information));
  CHECK(copy(target, list_of({target_descriptor(target, 0, 4096)}, {}))->refused_with(invalid_field_in_parameter_list));
  target.disk.script->read_error = backends::BackendError::read_failed;
  CHECK(copy(target, list_of({descriptor}, {segment(0, 0, 8, 0, 8)}, 9))
            ->failed_with(SenseKey::copy_aborted, third_party_device_failure));
  CHECK(target.run(results_cdb(0x00, 9), 255)->mover.data_in[4] == 2);  // completed with errors
  const Bytes details = target.run(results_cdb(0x04, 9), 255)->mover.data_in;
  REQUIRE(details.size() > 60);
  CHECK(details[56] == 0x02);
  CHECK((details[62] & 0x0f) == 0x0a);  // COPY ABORTED
}

TEST_CASE("EXTENDED COPY says when a full device stops it", "[scsi][SPC-4 6.3]") {
  Target target;
  target.disk.script->write_error = backends::BackendError::out_of_space;
  CHECK(copy(target, list_of({target_descriptor(target, 0)}, {segment(0, 0, 8, 0, 8)}))
            ->failed_with(SenseKey::data_protect, space_allocation_failed_write_protect));
}

TEST_CASE("an EXTENDED COPY parameter list that lies copies nothing", "[scsi][SPC-4 6.3][SCSI-2]") {
  Target target;
  const Bytes whole = list_of({target_descriptor(target, 0)}, {segment(0, 0, 8, 0, 100)});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    CHECK(copy(target, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)))
              ->refused_with(parameter_list_length_error));
  }
  const auto changed = [&](std::size_t byte, std::uint8_t value) {
    Bytes list = whole;
    list[byte] = value;
    return copy(target, list);
  };
  CHECK(changed(16, 0xe0)->refused_with(unsupported_target_descriptor_type_code));
  CHECK(changed(48, 0x03)->refused_with(unsupported_segment_descriptor_type_code));
  CHECK(changed(17, 0x05)->refused_with(invalid_field_in_parameter_list));
  CHECK(changed(23, 21)->refused_with(invalid_field_in_parameter_list));
  CHECK(changed(49, 0x01)->refused_with(invalid_field_in_parameter_list));
  CHECK(changed(51, 23)->refused_with(invalid_field_in_parameter_list));
  CHECK(changed(15, 1)->refused_with(invalid_field_in_parameter_list));
  CHECK(changed(1, 1 << 3)->refused_with(invalid_field_in_parameter_list));
  CHECK(target.run(copy_cdb(0))->is_good());
  CHECK(target.run(copy_cdb(0x7fffffff), 0, whole)->refused_with(parameter_list_length_error));
  CHECK(target.disk.script->writes == 0);
}

TEST_CASE("RECEIVE COPY RESULTS knows the copies of its nexus by identifier", "[scsi][SPC-4 6.17]") {
  Target target;
  for (const std::uint8_t service_action : Bytes{0, 1, 4}) {
    CHECK(target.run(results_cdb(service_action, 7), 255)->refused_with(invalid_field_in_cdb));
  }
  const Bytes descriptor = target_descriptor(target, 0);
  CHECK(copy(target, list_of({descriptor}, {segment(0, 0, 8, 0, 100)}, 7, 2))->is_good());  // discard
  CHECK(target.run(results_cdb(0, 7), 255)->refused_with(invalid_field_in_cdb));
  for (unsigned id = 0; id < 100; ++id) {
    CHECK(copy(target, list_of({descriptor}, {segment(0, 0, 1, 0, 100)}, static_cast<std::uint8_t>(id)))->is_good());
  }
  CHECK(target.run(results_cdb(0, 99), 255)->is_good());
  CHECK(target.run(results_cdb(0, 10), 255)->refused_with(invalid_field_in_cdb));  // long ago
}

TEST_CASE("a copy in progress says how far it is and its identifier is taken", "[scsi][SPC-4 6.18]") {
  Target target;
  const Bytes descriptor = target_descriptor(target, 0);
  const Bytes list = list_of({descriptor}, {segment(0, 0, 8, 0, 100)}, 3);
  target.disk.script->reads_wait = true;
  const auto running = target.start(copy_cdb(list.size()), 0, list);
  target.step();
  REQUIRE_FALSE(running->ended);
  CHECK(target.run(results_cdb(0, 3), 255)->mover.data_in[4] == 0);
  CHECK(copy(target, list)->refused_with(invalid_field_in_parameter_list));
  target.worker.call([&] { target.nexus->abort(running->command); });
  target.disk.script->release();
  target.step();
  CHECK(running->ended);
  CHECK(target.disk.script->writes == 0);
  CHECK(target.run(results_cdb(0, 3), 255)->mover.data_in[4] == 2);
}
