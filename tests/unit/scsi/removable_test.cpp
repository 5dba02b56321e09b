// Removable media: START STOP UNIT with LOEJ, PREVENT ALLOW MEDIUM REMOVAL, and what there is without a medium.
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi::SenseKey;

namespace {

volume::View removable() {
  volume::View view = view_of(1 << 20);
  view.removable = true;
  return view;
}

const Bytes eject{0x1b, 0, 0, 0, 0x02, 0};
const Bytes load{0x1b, 0, 0, 0, 0x03, 0};
const Bytes prevent{0x1e, 0, 0, 0, 0x01, 0};
const Bytes allow{0x1e, 0, 0, 0, 0x00, 0};

runtime::Task<> reset(scsi_server::Nexus& nexus) {
  static_cast<void>(co_await nexus.reset_logical_unit(0));
}

}  // namespace

TEST_CASE("a medium that has been ejected is not there until it is loaded", "[scsi][SBC-4 5.31]") {
  Target target(thin_geometry(), removable());
  CHECK((target.run({0x12, 0, 0, 0, 36, 0}, 36)->mover.data_in[1] & 0x80) != 0);
  CHECK(target.run(eject)->is_good());
  CHECK(target.disk.script->flushes == 1);
  CHECK(target.run({0x00})->failed_with(SenseKey::not_ready, medium_not_present));
  CHECK(target.run(cdb10(0x28, 0, 1), 512)->failed_with(SenseKey::not_ready, medium_not_present));
  CHECK(target.run(eject)->is_good());
  CHECK(target.run({0x1b, 0, 0, 0, 0x01, 0})->failed_with(SenseKey::not_ready, medium_not_present));
  CHECK(target.run(load)->is_good());
  CHECK(target.run(cdb10(0x28, 0, 1), 512)->is_good());
}

TEST_CASE("a medium whose removal is prevented stays", "[scsi][SPC-5 6.18]") {
  Target target(thin_geometry(), removable());
  CHECK(target.run(prevent)->is_good());
  CHECK(target.run(eject)->refused_with(medium_removal_prevented));
  CHECK(target.run({0x00})->is_good());
  CHECK(target.run(allow)->is_good());
  CHECK(target.run(eject)->is_good());
  CHECK(target.run(prevent)->is_good());
  CHECK(target.run(load)->refused_with(medium_removal_prevented));
}

TEST_CASE("the prevention of removal ends with its nexus and with a reset", "[scsi][SPC-5 6.18]") {
  Target target(thin_geometry(), removable());
  auto second = target.other.call([&] {
    return std::make_unique<scsi_server::Nexus>(*target.other, identity_of("iqn.2026-01.io.example:second"),
                                                target.map);
  });
  static_cast<void>(target.start(target.other, *second, {0x00}));
  CHECK(target.start(target.other, *second, prevent)->is_good());
  CHECK(target.run(eject)->refused_with(medium_removal_prevented));
  target.close(target.other, *second);
  target.other.call([&] { second.reset(); });
  CHECK(target.run(eject)->is_good());
  CHECK(target.run(load)->is_good());

  CHECK(target.run(prevent)->is_good());
  target.worker.start(reset(*target.nexus));
  target.step();
  static_cast<void>(target.run({0x00}));
  CHECK(target.run(eject)->is_good());
}

TEST_CASE("a power condition moves no medium and a fixed disk has none to eject", "[scsi][SBC-4 5.31]") {
  Target target(thin_geometry(), removable());
  for (unsigned condition = 1; condition < 16; ++condition) {
    CHECK(target.run({0x1b, 1, 0, 0, static_cast<std::uint8_t>(condition << 4 | 0x02), 0})->is_good());
    CHECK(target.run({0x00})->is_good());
  }
  Target fixed;
  CHECK(fixed.run(eject)->refused_with(invalid_field_in_cdb));
  CHECK(fixed.run(prevent)->is_good());
  CHECK((fixed.run({0x12, 0, 0, 0, 36, 0}, 36)->mover.data_in[1] & 0x80) == 0);
}
