// Nexuses: LUNs, unit attentions, resets, remapping, closing; two workers in one thread.
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi::SenseKey;
using scsi_server::encode_lun;
using scsi_server::LunMap;
using scsi_server::Nexus;
using scsi_server::TaskManagementResult;

namespace {

const Bytes test_unit_ready{0x00};

std::unique_ptr<Nexus> login(SteppedWorker& worker, std::shared_ptr<const LunMap> map, const std::string& name) {
  return worker.call([&] { return std::make_unique<Nexus>(*worker, identity_of(name), std::move(map)); });
}

/// A second nexus on `worker` of the same target, closed at the end.
class SecondNexus {
 public:
  SecondNexus(Target& target, SteppedWorker& worker)
      : target_(target), worker_(worker), nexus_(login(worker, target.map, "iqn.2026-01.io.example:second")) {}
  ~SecondNexus() {
    target_.close(worker_, *nexus_);
    worker_.call([&] { nexus_.reset(); });
  }
  Nexus& operator*() { return *nexus_; }
  std::unique_ptr<Running> run(Bytes cdb, std::uint32_t data_in_max = 0, Bytes data_out = {}) {
    auto running = start(std::move(cdb), data_in_max, std::move(data_out));
    target_.step();
    REQUIRE(running->ended);
    return running;
  }
  std::unique_ptr<Running> start(Bytes cdb, std::uint32_t data_in_max = 0, Bytes data_out = {}) {
    return target_.start(worker_, *nexus_, std::move(cdb), data_in_max, std::move(data_out));
  }

 private:
  Target& target_;
  SteppedWorker& worker_;
  std::unique_ptr<Nexus> nexus_;
};

bool has_attention(const Running& running, scsi::AdditionalSense condition) {
  return running.failed_with(SenseKey::unit_attention, condition);
}

runtime::Task<> reset(Nexus& nexus, std::uint64_t lun, std::optional<TaskManagementResult>& result) {
  result = co_await nexus.reset_logical_unit(lun);
}

runtime::Task<> remap(Nexus& nexus, std::shared_ptr<const LunMap> map, bool& done) {
  co_await nexus.remap(std::move(map));
  done = true;
}

}  // namespace

TEST_CASE("LUNs are decoded by their addressing method", "[scsi][SAM-5 4.7]") {
  using scsi_server::decode_lun;
  for (const std::uint16_t lun : std::vector<std::uint16_t>{0, 1, 255, 256, 257, 16383})
    CHECK(decode_lun(encode_lun(lun)) == lun);
  CHECK(encode_lun(5) == 0x0005000000000000ULL);
  CHECK(encode_lun(300) == 0x412c000000000000ULL);
  CHECK(decode_lun(0x4005000000000000ULL) == 5);   // flat space below 256
  CHECK_FALSE(decode_lun(0x0105000000000000ULL));  // bus 1
  CHECK_FALSE(decode_lun(0x0005000100000000ULL));  // a second level
  CHECK_FALSE(decode_lun(0x8005000000000000ULL));  // logical unit addressing
  CHECK_FALSE(decode_lun(0xc101000000000000ULL));  // well known
}

TEST_CASE("a LUN without a unit answers what SPC wants and nothing else", "[scsi][SPC-5 6.7.2]") {
  Target target;
  const std::uint64_t lun = encode_lun(7);
  const auto inquiry = target.run({0x12, 0, 0, 0, 255, 0}, 255, {}, lun);
  REQUIRE(inquiry->is_good());
  CHECK(inquiry->mover.data_in[0] == 0x7f);
  const auto pages = target.run({0x12, 1, 0, 0, 255, 0}, 255, {}, lun);
  CHECK(pages->mover.data_in == Bytes{0x7f, 0, 0, 1, 0});
  CHECK(target.run({0x12, 1, 0x83, 0, 255, 0}, 255, {}, lun)->refused_with(invalid_field_in_cdb));
  const auto sense = target.run({0x03, 0, 0, 0, 18, 0}, 18, {}, lun);
  REQUIRE(sense->is_good());
  CHECK(scsi::decode_sense(sense->mover.data_in)->additional == logical_unit_not_supported);
  CHECK(target.run(test_unit_ready, 0, {}, lun)->refused_with(logical_unit_not_supported));
  CHECK(target.run(cdb10(0x28, 0, 1), 512, {}, lun)->refused_with(logical_unit_not_supported));
  CHECK(target.run({0xff}, 0, {}, lun)->refused_with(logical_unit_not_supported));
  CHECK(target.run({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256, {}, lun)->refused_with(logical_unit_not_supported));
  CHECK(target.nexus->has(encode_lun(0)));
  CHECK_FALSE(target.nexus->has(lun));
}

TEST_CASE("REPORT LUNS works on LUN 0 when nothing is mapped there", "[scsi][SPC-5 6.33]") {
  Target target;
  auto map = std::make_shared<LunMap>();
  map->entries[3] = {target.disk.unit, false};
  map->entries[300] = {target.disk.unit, false};
  auto nexus = login(target.worker, map, "iqn.2026-01.io.example:x");
  auto run = target.start(target.worker, *nexus, {0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256);
  target.step();
  CHECK(run->mover.data_in == Bytes{0, 0, 0, 16, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0x41, 0x2c, 0, 0, 0, 0, 0, 0});
  target.close(target.worker, *nexus);
}

TEST_CASE("a new nexus is told of the power on once per unit", "[scsi][SAM-5 5.14]") {
  Target target;
  SecondNexus second(target, target.other);
  CHECK(second.run({0x12, 0, 0, 0, 36, 0}, 36)->is_good());
  CHECK(second.run({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256)->is_good());
  CHECK(has_attention(*second.run(cdb10(0x28, 0, 1), 512), power_on_reset_or_bus_device_reset_occurred));
  CHECK(second.run(cdb10(0x28, 0, 1), 512)->is_good());
  CHECK(target.run(test_unit_ready)->is_good());
}

TEST_CASE("a unit attention comes before an invalid opcode and before a wrong CDB", "[scsi][SAM-5 5.14]") {
  Target target;
  target.disk.unit->announce(0x3f, 0x03, nullptr);
  target.step();
  CHECK(has_attention(*target.run({0xff}), inquiry_data_has_changed));
  CHECK(target.run({0xff})->refused_with(invalid_command_operation_code));
  target.disk.unit->announce(0x3f, 0x03, nullptr);
  target.step();
  CHECK(has_attention(*target.run(cdb16(0x88, ~0ULL, 1), 512), inquiry_data_has_changed));
}

TEST_CASE("REQUEST SENSE reports a unit attention and clears it", "[scsi][SPC-5 6.39]") {
  Target target;
  target.disk.unit->announce(0x2a, 0x09, nullptr);
  target.step();
  const auto first = target.run({0x03, 0, 0, 0, 252, 0}, 252);
  REQUIRE(first->is_good());
  CHECK(scsi::decode_sense(first->mover.data_in)->additional == capacity_data_has_changed);
  const auto second = target.run({0x03, 0x01, 0, 0, 252, 0}, 252);
  CHECK(second->mover.data_in[0] == 0x72);
  CHECK(scsi::decode_sense(second->mover.data_in)->key == SenseKey::no_sense);
  CHECK(target.run(test_unit_ready)->is_good());
}

TEST_CASE("unit attentions are reported in the order of precedence and each once", "[scsi][SAM-5 5.14.3]") {
  Target target;
  for (int round = 0; round < 3; ++round) {
    target.disk.unit->announce(0x2a, 0x01, nullptr);
    target.disk.unit->announce(0x3f, 0x0e, nullptr);
    target.disk.unit->announce(0x29, 0x03, nullptr);
    target.disk.unit->announce(0x29, 0x00, nullptr);
  }
  target.step();
  CHECK(has_attention(*target.run(test_unit_ready), power_on_reset_or_bus_device_reset_occurred));
  CHECK(has_attention(*target.run(test_unit_ready), bus_device_reset_function_occurred));
  CHECK(has_attention(*target.run(test_unit_ready), mode_parameters_changed));
  CHECK(has_attention(*target.run(test_unit_ready), reported_luns_data_has_changed));
  CHECK(target.run(test_unit_ready)->is_good());
}

TEST_CASE("a changed mode page is announced to everybody else on every worker", "[scsi][SPC-5 6.12]") {
  Target target;
  SecondNexus same(target, target.worker);
  SecondNexus other(target, target.other);
  static_cast<void>(same.run(test_unit_ready));
  static_cast<void>(other.run(test_unit_ready));
  Bytes list(4 + 20);
  list[4] = 0x08;
  list[5] = 0x12;
  CHECK(target.run({0x15, 0x10, 0, 0, 24, 0}, 0, list)->is_good());
  CHECK(target.run(test_unit_ready)->is_good());
  CHECK(has_attention(*same.run(test_unit_ready), mode_parameters_changed));
  CHECK(has_attention(*other.run(test_unit_ready), mode_parameters_changed));
  CHECK(same.run(test_unit_ready)->is_good());
  // The same values again change nothing.
  CHECK(target.run({0x15, 0x10, 0, 0, 24, 0}, 0, list)->is_good());
  CHECK(same.run(test_unit_ready)->is_good());
}

TEST_CASE("a resized volume is noticed by every nexus without being told", "[scsi][SBC-4 5.18]") {
  Target target;
  SecondNexus other(target, target.other);
  static_cast<void>(other.run(test_unit_ready));
  bool done = false;
  target.worker.start([](volume::Volume& volume, bool& finished) -> runtime::Task<> {
    finished = (co_await volume.resize(1 << 21)).has_value();
  }(*target.disk.volume, done));
  target.step();
  REQUIRE(done);
  CHECK(has_attention(*target.run(test_unit_ready), capacity_data_has_changed));
  CHECK(has_attention(*other.run(test_unit_ready), capacity_data_has_changed));
  CHECK(target.run(cdb10(0x28, 4095, 1), 512)->is_good());
  CHECK(other.run(cdb10(0x28, 4095, 1), 512)->is_good());
}

TEST_CASE("a logical unit reset ends every task on every worker before it answers", "[scsi][SAM-5 7.7]") {
  Target target;
  SecondNexus same(target, target.worker);
  SecondNexus other(target, target.other);
  static_cast<void>(same.run(test_unit_ready));
  static_cast<void>(other.run(test_unit_ready));
  target.disk.script->reads_wait = true;
  auto mine = target.start(cdb10(0x28, 0, 1), 512);
  auto reading = other.start(cdb10(0x28, 0, 1), 512);
  auto writing = other.start(cdb10(0x2a, 0, 1), 0, Bytes(512));
  auto stuck = std::make_unique<Running>(*target.other, cdb10(0x2a, 8, 1), 0, Bytes(512));
  stuck->mover.waits = true;
  target.other.start(run_to_its_end(*other, *stuck));
  auto ordered = std::make_unique<Running>(*target.other, cdb10(0x2a, 9, 1), 0, Bytes(512));
  ordered->command.attribute = scsi_server::TaskAttribute::ordered;
  target.other.start(run_to_its_end(*other, *ordered));
  target.step();
  CHECK(writing->ended);
  REQUIRE_FALSE(reading->ended);
  REQUIRE_FALSE(stuck->ended);
  REQUIRE_FALSE(ordered->ended);

  std::optional<TaskManagementResult> result;
  target.worker.start(reset(*target.nexus, 0, result));
  target.step();
  CHECK(stuck->ended);    // its mover gave up
  CHECK(ordered->ended);  // it was waiting for its turn
  CHECK(ordered->command.aborted);
  CHECK(ordered->mover.calls == 0);
  CHECK_FALSE(result.has_value());  // the device still works for two of them
  target.disk.script->release();
  target.step();
  CHECK(result == TaskManagementResult::complete);
  CHECK(mine->ended);
  CHECK(reading->ended);
  CHECK(mine->command.aborted);
  CHECK(reading->command.aborted);
  CHECK(reading->mover.calls == 0);
  CHECK(has_attention(*target.run(test_unit_ready), bus_device_reset_function_occurred));
  CHECK(target.run(test_unit_ready)->is_good());
  CHECK(has_attention(*same.run(test_unit_ready), bus_device_reset_function_occurred));
  CHECK(has_attention(*other.run(test_unit_ready), bus_device_reset_function_occurred));
  CHECK(other.run(test_unit_ready)->is_good());
}

TEST_CASE("two resets at once both wait for all that was running", "[scsi][SAM-5 7.7]") {
  Target target;
  SecondNexus other(target, target.other);
  static_cast<void>(other.run(test_unit_ready));
  target.disk.script->reads_wait = true;
  auto first = target.start(cdb10(0x28, 0, 1), 512);
  std::optional<TaskManagementResult> one, two;
  target.worker.start(reset(*target.nexus, 0, one));
  target.step();
  static_cast<void>(target.run(test_unit_ready));
  auto later = target.start(cdb10(0x28, 0, 1), 512);
  target.other.start(reset(*other, 0, two));
  target.step();
  CHECK_FALSE(one.has_value());
  CHECK_FALSE(two.has_value());
  target.disk.script->release();
  target.step();
  CHECK(one == TaskManagementResult::complete);
  CHECK(two == TaskManagementResult::complete);
  CHECK(first->ended);
  CHECK(later->ended);
}

TEST_CASE("a logical unit reset puts the mode parameters back", "[scsi][SPC-5 5.13]") {
  Target target;
  Bytes list(4 + 20);
  list[4] = 0x08;
  list[5] = 0x12;
  REQUIRE(target.run({0x15, 0x10, 0, 0, 24, 0}, 0, list)->is_good());
  CHECK((target.run({0x1a, 0x08, 0x08, 0, 255, 0}, 255)->mover.data_in[6] & 0x04) == 0);
  std::optional<TaskManagementResult> result;
  target.worker.start(reset(*target.nexus, 0, result));
  target.step();
  CHECK(result == TaskManagementResult::complete);
  CHECK(has_attention(*target.run(test_unit_ready), bus_device_reset_function_occurred));
  CHECK((target.run({0x1a, 0x08, 0x08, 0, 255, 0}, 255)->mover.data_in[6] & 0x04) == 0x04);
}

TEST_CASE("a reset of a LUN without a unit says so", "[scsi][SAM-5 7.7]") {
  Target target;
  std::optional<TaskManagementResult> result;
  target.worker.start(reset(*target.nexus, encode_lun(9), result));
  target.step();
  CHECK(result == TaskManagementResult::no_such_lun);
}

TEST_CASE("a changed map ends the tasks of what is gone and announces the rest", "[scsi][SPC-5 6.33]") {
  Target target;
  Disk second(target.worker, thin_geometry(), view_of(1 << 20));
  auto both = std::make_shared<LunMap>();
  both->entries[0] = {target.disk.unit, false};
  both->entries[1] = {second.unit, false};
  bool done = false;
  target.worker.start(remap(*target.nexus, both, done));
  target.step();
  REQUIRE(done);
  const std::uint64_t lun_1 = encode_lun(1);
  CHECK(has_attention(*target.run(test_unit_ready), reported_luns_data_has_changed));
  CHECK(has_attention(*target.run(test_unit_ready, 0, {}, lun_1), power_on_reset_or_bus_device_reset_occurred));
  CHECK(target.run(test_unit_ready, 0, {}, lun_1)->is_good());  // 3F/0E was told through LUN 0 for all of them

  second.script->reads_wait = true;
  auto reading = target.start(target.worker, *target.nexus, cdb10(0x28, 0, 1), 512, {}, lun_1);
  done = false;
  target.worker.start(remap(*target.nexus, target.map, done));
  target.step();
  CHECK_FALSE(done);
  CHECK(target.run(test_unit_ready, 0, {}, lun_1)->refused_with(logical_unit_not_supported));
  second.script->release();
  target.step();
  CHECK(done);
  CHECK(reading->command.aborted);
  CHECK_FALSE(target.nexus->has(lun_1));
  CHECK(target.run({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256)->is_good());
  CHECK(target.run(test_unit_ready)->is_good());  // REPORT LUNS has cleared 3F/0E
  target.worker.start(second.volume->close());
  target.step();
}

TEST_CASE("a mapping that becomes read-only is a changed mode parameter", "[scsi][SPC-5 7.5]") {
  Target target;
  auto map = std::make_shared<LunMap>();
  map->entries[0] = {target.disk.unit, true};
  bool done = false;
  target.worker.start(remap(*target.nexus, map, done));
  target.step();
  REQUIRE(done);
  CHECK(has_attention(*target.run(test_unit_ready), mode_parameters_changed));
  CHECK(target.run(cdb10(0x2a, 0, 1), 0, Bytes(512))->failed_with(SenseKey::data_protect, write_protected));
}

TEST_CASE("closing a nexus waits for its tasks and lets nothing new in", "[scsi][SAM-5 6.3]") {
  Target target;
  auto nexus = login(target.other, target.map, "iqn.2026-01.io.example:x");
  target.disk.script->reads_wait = true;
  auto tur = target.start(target.other, *nexus, test_unit_ready);
  auto reading = target.start(target.other, *nexus, cdb10(0x28, 0, 1), 512);
  bool closed = false;
  target.other.start([](Nexus& closing, bool& done) -> runtime::Task<> {
    co_await closing.close();
    done = true;
  }(*nexus, closed));
  target.step();
  CHECK_FALSE(closed);
  auto late = target.start(target.other, *nexus, test_unit_ready);
  CHECK(late->ended);
  CHECK(late->command.aborted);
  target.disk.script->release();
  target.step();
  CHECK(closed);
  CHECK(reading->command.aborted);
  CHECK(reading->mover.calls == 0);
}

TEST_CASE("an aborted command ends without touching anything", "[scsi][SAM-5 7.2]") {
  Target target;
  target.disk.script->reads_wait = true;
  auto reading = target.start(cdb10(0x28, 0, 1), 512);
  auto ordered = std::make_unique<Running>(*target.worker, cdb10(0x2a, 9, 1), 0, Bytes(512));
  ordered->command.attribute = scsi_server::TaskAttribute::ordered;
  target.worker.start(run_to_its_end(*target.nexus, *ordered));
  auto behind = target.start(cdb10(0x2a, 10, 1), 0, Bytes(512));
  target.step();
  CHECK_FALSE(behind->ended);
  target.worker.call([&] { target.nexus->abort(ordered->command); });
  target.step();
  CHECK(ordered->ended);
  CHECK(ordered->mover.calls == 0);
  CHECK(behind->is_good());  // nobody ORDERED is before it any more
  CHECK_FALSE(reading->ended);
  target.disk.script->release();
  target.step();
  CHECK(reading->is_good());
}

TEST_CASE("the ACA attribute is refused where there is no ACA", "[scsi][SAM-5 8.8]") {
  Target target;
  auto running = std::make_unique<Running>(*target.worker, test_unit_ready, 0, Bytes{});
  running->command.attribute = scsi_server::TaskAttribute::aca;
  target.worker.start(run_to_its_end(*target.nexus, *running));
  target.step();
  CHECK(running->refused_with(invalid_message_error));
}

TEST_CASE("a volume that is offline is not ready and one that has failed is broken", "[scsi][SBC-4 4.9]") {
  for (const volume::Health health : {volume::Health::offline, volume::Health::failed}) {
    volume::View view = view_of(1 << 20);
    view.health = health;
    Target target(thin_geometry(), view);
    const auto run = target.run(test_unit_ready);
    if (health == volume::Health::offline) {
      CHECK(run->failed_with(SenseKey::not_ready, logical_unit_not_ready_offline));
    } else {
      CHECK(run->failed_with(SenseKey::hardware_error, internal_target_failure));
    }
    CHECK(target.run(cdb10(0x28, 0, 1), 512)->command.status == scsi::Status::check_condition);
    CHECK(target.run({0x12, 1, 0x83, 0, 255, 0}, 255)->is_good());
    CHECK(target.run({0x1a, 0x08, 0x3f, 0, 255, 0}, 255)->is_good());
    const auto sense = target.run({0x03, 0, 0, 0, 252, 0}, 252);
    CHECK(scsi::decode_sense(sense->mover.data_in) == run->sense());
  }
}
