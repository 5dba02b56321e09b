// APTPL: what survives, what a crash at any step leaves, what a damaged file means; and the script of a two-node
// cluster.
#include "server/volume/reservation_file.h"
#include "tests/unit/control/fake_disk.h"
#include "tests/unit/scsi/cluster.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using control::test::FakeDisk;

namespace {

const std::string path = "/data/reservations/v";

std::unique_ptr<FakeDisk> empty_disk() {
  auto disk = std::make_unique<FakeDisk>();
  disk->put("/data/lock", "");
  return disk;
}

volume::ReservationTable sample() {
  volume::ReservationTable table;
  table.survives_power_loss = true;
  table.registrants = {{{Cluster::initiator(0), "iqn.2026-01.io.example:t,t,0x0001", 1}, 0xdeadbeef},
                       {{Cluster::initiator(1), "iqn.2026-01.io.example:t,t,0x0002", 2}, ~std::uint64_t{0}}};
  table.reservation = volume::PersistentReservation{volume::ReservationType::write_exclusive_registrants_only,
                                                    table.registrants[1].nexus};
  return table;
}

}  // namespace

TEST_CASE("a table of reservations is read as it was written", "[scsi][reservation][APTPL]") {
  volume::ReservationTable table = sample();
  CHECK(volume::decode_reservations(volume::encode_reservations(table)) == table);
  table.reservation.reset();
  CHECK(volume::decode_reservations(volume::encode_reservations(table)) == table);
  table.registrants.clear();
  CHECK(volume::decode_reservations(volume::encode_reservations(table)) == table);
  table.survives_power_loss = false;
  CHECK(volume::decode_reservations(volume::encode_reservations(table)) == table);
}

TEST_CASE("a table that is not whole to the last bit is not read", "[scsi][reservation][APTPL][SCSI-3]") {
  const std::string text = volume::encode_reservations(sample());
  for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(volume::decode_reservations(text.substr(0, size)));
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      REQUIRE_FALSE(volume::decode_reservations(damaged));
    }
  }
  CHECK_FALSE(volume::decode_reservations(text + "\n"));
  CHECK_FALSE(volume::decode_reservations(text + text));
}

TEST_CASE("with APTPL a restart changes nothing and without it forgets everything", "[scsi][reservation][APTPL]") {
  const std::unique_ptr<FakeDisk> disk = empty_disk();
  Cluster cluster(3, disk.get());
  CHECK(cluster.run(2, reserve_in_cdb(2), 255)->mover.data_in == Bytes{0, 8, 0x9d, 0xb0, 0xea, 0x01, 0, 0});
  REQUIRE(cluster.out(0, out_register, 0, 0xa)->is_good());
  REQUIRE(cluster.out(0, out_reserve, 0xa, 0, 3)->is_good());
  CHECK(disk->names().count(path) == 0);  // nothing to keep, nothing written
  cluster.restart();
  CHECK(cluster.state() == "0:");

  REQUIRE(cluster.out(0, out_register, 0, 0xa, 0, aptpl)->is_good());
  CHECK(cluster.run(2, reserve_in_cdb(2), 255)->mover.data_in == Bytes{0, 8, 0x9d, 0xb1, 0xea, 0x01, 0, 0});
  REQUIRE(cluster.out(1, out_register, 0, 0xb, 0, aptpl)->is_good());
  REQUIRE(cluster.out(0, out_reserve, 0xa, 0, 3)->is_good());
  cluster.restart();
  CHECK(cluster.state() == "3: 0=a* 1=b");
  CHECK(cluster.generation() == 0);
  CHECK(conflicts(*cluster.write(1)));
  CHECK(cluster.write(0)->is_good());
  REQUIRE(cluster.out(0, out_release, 0xa, 0, 3)->is_good());
  cluster.restart();
  CHECK(cluster.state() == "0: 0=a 1=b");
  // The last registration decides for all.
  REQUIRE(cluster.out(1, out_register, 0xb, 0xbb, 0)->is_good());
  cluster.restart();
  CHECK(cluster.state() == "0:");
}

TEST_CASE("a crash at any step of storing leaves the reservations before or after",
          "[scsi][reservation][APTPL][SCSI-3]") {
  for (const auto survivor :
       {FakeDisk::Survivor::everything, FakeDisk::Survivor::synced, FakeDisk::Survivor::names_only}) {
    unsigned steps = 0;
    for (unsigned failing = 1; failing < 20; ++failing) {
      CAPTURE(static_cast<int>(survivor), failing);
      const std::unique_ptr<FakeDisk> disk = empty_disk();
      Cluster cluster(2, disk.get());
      REQUIRE(cluster.out(0, out_register, 0, 0xa, 0, aptpl)->is_good());
      REQUIRE(cluster.out(0, out_reserve, 0xa, 0, 1)->is_good());
      disk->steps = 0;
      disk->failing_step = failing;
      const auto change = cluster.out(1, out_register, 0, 0xb, 0, aptpl);
      const bool done = change->is_good();
      if (done) {
        steps = failing;
      } else {
        CHECK(change->refused_with(insufficient_reservation_resources));
        CHECK(cluster.state() == "1: 0=a*");  // refused means not done
      }
      const std::unique_ptr<FakeDisk> after = disk->after(survivor);
      Cluster restarted(2, after.get());
      CHECK(restarted.problem.empty());
      const std::string state = restarted.state();
      const bool is_old_or_new = state == "1: 0=a*" || state == "1: 0=a* 1=b";
      CHECK(is_old_or_new);
      if (done) CHECK(state == "1: 0=a* 1=b");
      if (done) break;
    }
    CHECK(steps > 4);  // open, write, sync, rename, sync of the folder
  }
}

TEST_CASE("a failure to store is reported and the next change is stored", "[scsi][reservation][APTPL]") {
  const std::unique_ptr<FakeDisk> disk = empty_disk();
  Cluster cluster(2, disk.get());
  disk->failing_step = 1;
  CHECK(cluster.out(0, out_register, 0, 0xa, 0, aptpl)->refused_with(insufficient_reservation_resources));
  CHECK(cluster.state() == "0:");
  disk->failing_step = 0;
  REQUIRE(cluster.out(0, out_register, 0, 0xa, 0, aptpl)->is_good());
  cluster.restart();
  CHECK(cluster.state() == "0: 0=a");
}

TEST_CASE("damaged reservations are never taken for none", "[scsi][reservation][APTPL][SPC-5 5.13.5.4]") {
  const std::unique_ptr<FakeDisk> disk = empty_disk();
  disk->put(path, volume::encode_reservations(sample()) + "x");
  Cluster cluster(2, disk.get());
  CHECK(cluster.problem.find(path) != std::string::npos);
  const auto is_lost = [](const Running& run) {
    return run.failed_with(scsi::SenseKey::hardware_error, persistent_reservation_information_lost);
  };
  CHECK(is_lost(*cluster.read(0)));
  CHECK(is_lost(*cluster.write(0)));
  CHECK(is_lost(*cluster.run(0, {0x00})));
  CHECK(is_lost(*cluster.run(0, {0x16})));
  CHECK(is_lost(*cluster.run(0, reserve_in_cdb(0), 255)));
  CHECK(is_lost(*cluster.out(0, out_register, 0, 0xa)));
  CHECK(is_lost(*cluster.out(0, out_clear, 0, 0)));
  CHECK(cluster.run(0, {0x12, 0, 0, 0, 96, 0}, 96)->is_good());
  cluster.restart();
  CHECK_FALSE(cluster.problem.empty());

  CHECK(cluster.out(0, out_replace, 0xa, 0xa, 1)->refused_with(invalid_field_in_parameter_list));
  CHECK(cluster.out(0, out_replace, 0, 0, 1)->refused_with(invalid_field_in_parameter_list));
  CHECK(cluster.out(0, out_replace, 0, 0xa, 2)->refused_with(invalid_field_in_cdb));
  REQUIRE(cluster.out(0, out_replace, 0, 0xa, 1, aptpl)->is_good());
  CHECK(cluster.state() == "1: 0=a*");
  CHECK(cluster.generation() == 0);
  CHECK(cluster.write(0)->is_good());
  CHECK(conflicts(*cluster.write(1)));
  CHECK(cluster.out(0, out_replace, 0, 0xa, 1)->refused_with(invalid_field_in_cdb));
  cluster.restart();
  CHECK(cluster.problem.empty());
  CHECK(cluster.state() == "1: 0=a*");
}

TEST_CASE("two nodes fence each other over restarts as a failover cluster does", "[scsi][reservation][APTPL][SCSI-3]") {
  const std::unique_ptr<FakeDisk> disk = empty_disk();
  Cluster cluster(2, disk.get());
  const std::uint8_t registrants_only = 5;
  for (unsigned host = 0; host < 2; ++host) {
    REQUIRE(cluster.out(host, out_ignore, 0, 0xa0 + host, 0, aptpl)->is_good());
  }
  REQUIRE(cluster.out(0, out_reserve, 0xa0, 0, registrants_only)->is_good());
  CHECK(cluster.write(0)->is_good());
  CHECK(cluster.write(1)->is_good());
  cluster.restart();
  CHECK(cluster.state() == "5: 0=a0* 1=a1");
  // Node 0 is lost: node 1 takes over.
  REQUIRE(cluster.out(1, out_preempt, 0xa1, 0xa0, registrants_only)->is_good());
  CHECK(has_attention(*cluster.write(0), registrations_preempted));
  CHECK(conflicts(*cluster.write(0)));
  CHECK(cluster.read(0)->is_good());
  cluster.restart();
  CHECK(cluster.state() == "5: 1=a1*");
  CHECK(conflicts(*cluster.write(0)));
  // It comes back, and this time fences the other in the middle of its writing.
  REQUIRE(cluster.out(0, out_ignore, 0, 0xa0, 0, aptpl)->is_good());
  CHECK(cluster.write(0)->is_good());
  auto writing = std::make_unique<Running>(*cluster.odd, cdb10(0x2a, 0, 1), 0, Bytes(512, 0x77));
  writing->mover.waits = true;
  cluster.odd.start(run_to_its_end(cluster.nexus(1), *writing));
  REQUIRE(cluster.out(0, out_abort, 0xa0, 0xa1, registrants_only)->is_good());
  CHECK(writing->ended);
  CHECK(writing->command.aborted);
  CHECK(cluster.disk->script->memory[0] == std::byte{0});
  CHECK(has_attention(*cluster.write(1), registrations_preempted));
  CHECK(conflicts(*cluster.write(1)));
  cluster.restart();
  CHECK(cluster.state() == "5: 0=a0*");
  CHECK(conflicts(*cluster.write(1)));
  REQUIRE(cluster.out(0, out_release, 0xa0, 0, registrants_only)->is_good());
  REQUIRE(cluster.out(0, out_clear, 0xa0, 0)->is_good());
  cluster.restart();
  CHECK(cluster.state() == "0:");
  CHECK(cluster.write(1)->is_good());
}
