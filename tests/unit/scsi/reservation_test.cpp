// Reservations through the wire's eyes: every service action, type and role, what others are told, who is let in.
#include "server/scsi/command_table.h"
#include "server/volume/reservations.h"
#include "tests/unit/scsi/cluster.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;

namespace {

const Bytes types{1, 3, 5, 6, 7, 8};
const Bytes test_unit_ready{0x00};

/// Host 0 holds a reservation of `type` with key a, host 1 is registered with key b, host 2 is nobody.
void reserve(Cluster& cluster, std::uint8_t type) {
  REQUIRE(cluster.out(0, out_register, 0, 0xa)->is_good());
  REQUIRE(cluster.out(1, out_register, 0, 0xb)->is_good());
  REQUIRE(cluster.out(0, out_reserve, 0xa, 0, type)->is_good());
}

bool is_for_registrants(std::uint8_t type) {
  return type >= 5;
}
bool is_for_all(std::uint8_t type) {
  return type >= 7;
}
bool others_may_read(std::uint8_t type) {
  return type == 1 || type == 5 || type == 7;
}

/// The permission column again, from SPC-5 table 58 and SBC-4 table 13. What is not here is for holders and
/// registrants.
enum class May : char { always, past_persistent, read, ask, write };
May permission(const scsi_server::CommandRow& row) {
  static const std::map<std::pair<int, int>, May> known{
      {{0x00, -1}, May::past_persistent},
      {{0x03, -1}, May::always},
      {{0x08, -1}, May::read},
      {{0x12, -1}, May::always},
      {{0x16, -1}, May::ask},
      {{0x17, -1}, May::ask},
      {{0x1a, -1}, May::read},
      {{0x1c, -1}, May::read},
      {{0x25, -1}, May::always},
      {{0x1e, -1}, May::always},  // the form that allows removal
      {{0x28, -1}, May::read},
      {{0x2f, -1}, May::read},
      {{0x34, -1}, May::read},
      {{0x37, -1}, May::read},
      {{0xb7, -1}, May::read},
      {{0x4d, -1}, May::always},
      {{0x56, -1}, May::ask},
      {{0x57, -1}, May::ask},
      {{0x5a, -1}, May::read},
      {{0x88, -1}, May::read},
      {{0x8f, -1}, May::read},
      {{0x90, -1}, May::read},
      {{0x9e, 0x10}, May::always},
      {{0x9e, 0x12}, May::read},
      {{0xa0, -1}, May::always},
      {{0xa3, 0x0a}, May::past_persistent},
      {{0xa3, 0x0c}, May::read},
      {{0xa3, 0x0d}, May::read},
      {{0xa8, -1}, May::read},
      {{0xaf, -1}, May::read},
  };
  if (row.opcode == 0x5e || row.opcode == 0x5f) return May::ask;
  const auto found = known.find({row.opcode, row.service_action});
  return found == known.end() ? May::write : found->second;
}

runtime::Task<> reset_unit(scsi_server::Nexus& nexus) {
  static_cast<void>(co_await nexus.reset_logical_unit(0));
}

Bytes cdb_of(const scsi_server::CommandRow& row) {
  Bytes cdb(16);
  cdb[0] = row.opcode;
  if (row.has_service_action()) cdb[1] = static_cast<std::uint8_t>(row.service_action);
  return cdb;
}

}  // namespace

TEST_CASE("every command is let past every type of reservation as the standards say",
          "[scsi][reservation][SPC-5 5.13.1][SBC-4 4.17]") {
  for (const std::uint8_t type : types) {
    Cluster cluster;
    reserve(cluster, type);
    for (const scsi_server::CommandRow& row : scsi_server::command_rows()) {
      const May may = permission(row);
      if (may == May::ask) continue;
      CAPTURE(type, row.name);
      for (unsigned host = 0; host < 3; ++host) {
        CAPTURE(host);
        const bool has_access = host == 0 || (host == 1 && is_for_registrants(type));
        const bool allowed = has_access || may == May::always || may == May::past_persistent ||
                             (may == May::read && others_may_read(type));
        const auto run = cluster.run(host, cdb_of(row), 4096, Bytes(4096));
        CHECK(conflicts(*run) == !allowed);
        if (!allowed) CHECK(run->mover.calls == 0);
      }
    }
    CHECK(cluster.run(2, {0x1b, 0, 0, 0, 1, 0})->is_good());           // starting
    CHECK(conflicts(*cluster.run(2, {0x1e, 0, 0, 0, 1, 0})) == true);  // preventing removal
  }
}

TEST_CASE("while RESERVE has the unit the others may only ask what it is", "[scsi][reservation][SPC-2 5.5.1]") {
  Cluster cluster;
  REQUIRE(cluster.run(0, {0x16})->is_good());
  for (const scsi_server::CommandRow& row : scsi_server::command_rows()) {
    const May may = permission(row);
    if (may == May::ask) continue;
    CAPTURE(row.name);
    CHECK(conflicts(*cluster.run(1, cdb_of(row), 4096, Bytes(4096))) == (may != May::always));
    CHECK_FALSE(conflicts(*cluster.run(0, cdb_of(row), 4096, Bytes(4096))));
  }
  for (unsigned host = 0; host < 2; ++host) {
    CHECK(conflicts(*cluster.run(host, reserve_in_cdb(0), 255)));
    CHECK(conflicts(*cluster.out(host, out_register, 0, 0xa)));
  }
  CHECK(conflicts(*cluster.run(1, {0x16})));
  CHECK(cluster.run(1, {0x17})->is_good());  // releases nothing
  CHECK(cluster.run(0, {0x56})->is_good());
  CHECK(conflicts(*cluster.write(1)));
  CHECK(cluster.run(0, {0x57})->is_good());
  CHECK(cluster.write(1)->is_good());
  CHECK(cluster.run(1, {0x56})->is_good());
  CHECK(conflicts(*cluster.write(0)));
}

TEST_CASE("what RESERVE has taken goes with the nexus and with a reset", "[scsi][reservation][SPC-2 5.5.1]") {
  Cluster cluster;
  REQUIRE(cluster.run(1, {0x16})->is_good());
  REQUIRE(conflicts(*cluster.write(0)));
  cluster.logout(1);
  CHECK(cluster.write(0)->is_good());
  cluster.login(1);
  CHECK(cluster.write(1)->is_good());

  REQUIRE(cluster.run(1, {0x16})->is_good());
  cluster.worker_of(0).start(reset_unit(cluster.nexus(0)));
  cluster.step();
  CHECK(has_attention(*cluster.write(0), bus_device_reset_function_occurred));
  CHECK(cluster.write(0)->is_good());
  CHECK(has_attention(*cluster.write(1), bus_device_reset_function_occurred));
  CHECK(cluster.write(1)->is_good());
}

TEST_CASE("a reset and the end of a nexus leave persistent reservations alone", "[scsi][reservation][SPC-5 5.13.5]") {
  Cluster cluster;
  reserve(cluster, 1);
  cluster.worker_of(2).start(reset_unit(cluster.nexus(2)));
  cluster.step();
  static_cast<void>(cluster.run(0, test_unit_ready));
  static_cast<void>(cluster.run(1, test_unit_ready));
  cluster.logout(0);
  CHECK(cluster.state(1) == "1: 0=a* 1=b");
  CHECK(conflicts(*cluster.write(1)));
  cluster.login(0);
  CHECK(cluster.write(0)->is_good());
}

TEST_CASE("RESERVE and RELEASE beside persistent reservations follow CRH", "[scsi][reservation][SPC-5 5.13.3]") {
  for (const std::uint8_t type : types) {
    CAPTURE(type);
    Cluster cluster;
    REQUIRE(cluster.out(0, out_register, 0, 0xa)->is_good());
    for (const std::uint8_t opcode : Bytes{0x16, 0x56}) {
      CHECK(conflicts(*cluster.run(0, {opcode})));
      CHECK(conflicts(*cluster.run(2, {opcode})));
    }
    REQUIRE(cluster.out(1, out_register, 0, 0xb)->is_good());
    REQUIRE(cluster.out(0, out_reserve, 0xa, 0, type)->is_good());
    for (const std::uint8_t opcode : Bytes{0x16, 0x17, 0x56, 0x57}) {
      CHECK(cluster.run(0, {opcode})->is_good());
      CHECK(conflicts(*cluster.run(1, {opcode})) == !is_for_registrants(type));
      CHECK(conflicts(*cluster.run(2, {opcode})));
    }
    CHECK(cluster.state() == std::to_string(type) + ": 0=a* 1=b" + (is_for_all(type) ? "*" : ""));
  }
}

TEST_CASE("REGISTER adds changes and removes registrations", "[scsi][reservation][SPC-5 5.13.7]") {
  Cluster cluster;
  CHECK(cluster.state() == "0:");
  CHECK(cluster.generation() == 0);
  CHECK(conflicts(*cluster.out(0, out_register, 0x1, 0xa)));  // not registered, so the key must be 0
  CHECK(cluster.generation() == 0);
  CHECK(cluster.out(0, out_register, 0, 0)->is_good());
  CHECK(cluster.state() == "0:");
  CHECK(cluster.out(0, out_register, 0, 0xa)->is_good());
  CHECK(cluster.out(1, out_register, 0, 0xa)->is_good());  // the same key twice is fine
  CHECK(cluster.state() == "0: 0=a 1=a");
  CHECK(conflicts(*cluster.out(0, out_register, 0, 0xb)));
  CHECK(cluster.out(0, out_register, 0xa, 0xc)->is_good());
  CHECK(cluster.state() == "0: 0=c 1=a");
  CHECK(cluster.out(0, out_register, 0xc, 0)->is_good());
  CHECK(cluster.state() == "0: 1=a");
  CHECK(cluster.generation() == 5);
  CHECK(cluster.out(1, out_ignore, 0x123, 0xd)->is_good());
  CHECK(cluster.out(2, out_ignore, 0x123, 0xe)->is_good());
  CHECK(cluster.state() == "0: 1=d 2=e");
  CHECK(cluster.out(1, out_ignore, 0x123, 0)->is_good());
  CHECK(cluster.out(0, out_ignore, 0x123, 0)->is_good());
  CHECK(cluster.state() == "0: 2=e");
  CHECK(cluster.generation() == 9);
}

TEST_CASE("only a registrant with its key reserves and only the holder again", "[scsi][reservation][SPC-5 5.13.9]") {
  for (const std::uint8_t type : types) {
    CAPTURE(type);
    Cluster cluster;
    reserve(cluster, type);
    const std::uint32_t generation = cluster.generation();
    const std::string before = cluster.state();
    for (const std::uint8_t other : types) {
      CAPTURE(other);
      CHECK(conflicts(*cluster.out(0, out_reserve, 0xa, 0, other)) == (other != type));
      CHECK(conflicts(*cluster.out(1, out_reserve, 0xb, 0, other)) == !(is_for_all(type) && other == type));
      CHECK(conflicts(*cluster.out(2, out_reserve, 0, 0, other)));
      CHECK(conflicts(*cluster.out(0, out_reserve, 0xb, 0, other)));
    }
    CHECK(cluster.state() == before);
    CHECK(cluster.generation() == generation);
    for (const std::uint8_t bad : Bytes{0, 2, 4, 9, 15, 0x11, 0x21}) {
      CHECK(cluster.out(0, out_reserve, 0xa, 0, bad)->refused_with(invalid_field_in_cdb));
    }
  }
}

TEST_CASE("RELEASE ends the holder's reservation and tells registrants when it was theirs as well",
          "[scsi][reservation][SPC-5 5.13.11.2]") {
  for (const std::uint8_t type : types) {
    CAPTURE(type);
    Cluster cluster;
    reserve(cluster, type);
    const std::string before = cluster.state();
    CHECK(conflicts(*cluster.out(2, out_release, 0, 0, type)));
    CHECK(conflicts(*cluster.out(0, out_release, 0xb, 0, type)));
    if (!is_for_all(type)) CHECK(cluster.out(1, out_release, 0xb, 0, type)->is_good());
    for (const std::uint8_t other : types) {
      if (other == type) continue;
      CHECK(cluster.out(0, out_release, 0xa, 0, other)->refused_with(invalid_release_of_persistent_reservation));
    }
    CHECK(cluster.out(0, out_release, 0xa, 0, type | 0x10)->refused_with(invalid_release_of_persistent_reservation));
    CHECK(cluster.state() == before);
    CHECK(cluster.out(0, out_release, 0xa, 0, type)->is_good());
    CHECK(has_attention(*cluster.run(1, test_unit_ready), reservations_released) == is_for_registrants(type));
    CHECK(cluster.run(0, test_unit_ready)->is_good());
    CHECK(cluster.run(2, test_unit_ready)->is_good());
    CHECK(cluster.state() == "0: 0=a 1=b");
    CHECK(cluster.out(0, out_release, 0xa, 0, type)->is_good());
    CHECK(cluster.write(2)->is_good());
  }
}

TEST_CASE("a holder that unregisters takes its reservation along unless all registrants have it",
          "[scsi][reservation][SPC-5 5.13.11.3]") {
  for (const std::uint8_t type : types) {
    CAPTURE(type);
    Cluster cluster;
    reserve(cluster, type);
    REQUIRE(cluster.out(0, out_register, 0xa, 0)->is_good());
    CHECK(has_attention(*cluster.run(1, test_unit_ready), reservations_released) == (type == 5 || type == 6));
    CHECK(cluster.state() == (is_for_all(type) ? std::to_string(type) + ": 1=b*" : "0: 1=b"));
    CHECK(conflicts(*cluster.write(2)) == is_for_all(type));
    REQUIRE(cluster.out(1, out_register, 0xb, 0)->is_good());
    CHECK(cluster.state() == "0:");
    CHECK(cluster.write(2)->is_good());
  }
}

TEST_CASE("CLEAR removes everything and tells everybody", "[scsi][reservation][SPC-5 5.13.11.6]") {
  Cluster cluster;
  reserve(cluster, 3);
  CHECK(conflicts(*cluster.out(2, out_clear, 0, 0)));
  CHECK(conflicts(*cluster.out(1, out_clear, 0xa, 0)));
  CHECK(cluster.out(1, out_clear, 0xb, 0)->is_good());
  CHECK(has_attention(*cluster.run(0, test_unit_ready), reservations_preempted));
  CHECK(cluster.run(1, test_unit_ready)->is_good());
  CHECK(cluster.run(2, test_unit_ready)->is_good());
  CHECK(cluster.state() == "0:");
  CHECK(cluster.generation() == 3);
}

TEST_CASE("PREEMPT of the holder's key takes the reservation over", "[scsi][reservation][SPC-5 5.13.11.4]") {
  for (const std::uint8_t type : types) {
    for (const std::uint8_t wanted : types) {
      CAPTURE(type, wanted);
      Cluster cluster(4);
      reserve(cluster, type);
      REQUIRE(cluster.out(3, out_register, 0, 0xd)->is_good());
      CHECK(conflicts(*cluster.out(2, out_preempt, 0, 0xa, wanted)));
      CHECK(conflicts(*cluster.out(1, out_preempt, 0xb, 0xee, wanted)));  // nobody has that key
      const std::uint64_t victim = is_for_all(type) ? 0 : 0xa;
      CHECK(cluster.out(1, out_preempt, 0xb, victim, 0)->refused_with(invalid_field_in_cdb));
      REQUIRE(cluster.out(1, out_preempt, 0xb, victim, wanted)->is_good());
      CHECK(has_attention(*cluster.run(0, test_unit_ready), registrations_preempted));
      CHECK(cluster.run(0, test_unit_ready)->is_good());
      CHECK(cluster.run(1, test_unit_ready)->is_good());
      const std::string now = std::to_string(wanted) + ":";
      if (is_for_all(type)) {
        CHECK(has_attention(*cluster.run(3, test_unit_ready), registrations_preempted));
        CHECK(cluster.state() == now + " 1=b*");
      } else {
        CHECK(has_attention(*cluster.run(3, test_unit_ready), reservations_released) == (type != wanted));
        CHECK(cluster.state() == now + " 1=b* 3=d" + (is_for_all(wanted) ? "*" : ""));
      }
      CHECK(cluster.generation() == 4);
      CHECK(conflicts(*cluster.write(0)));
    }
  }
}

TEST_CASE("PREEMPT of another key only removes registrations", "[scsi][reservation][SPC-5 5.13.11.4]") {
  for (const std::uint8_t type : types) {
    CAPTURE(type);
    Cluster cluster(4);
    reserve(cluster, type);
    REQUIRE(cluster.out(2, out_register, 0, 0xc)->is_good());
    REQUIRE(cluster.out(3, out_register, 0, 0xc)->is_good());
    REQUIRE(cluster.out(1, out_preempt, 0xb, 0xc, 0)->is_good());  // the type does not matter then
    CHECK(cluster.state() == std::to_string(type) + ": 0=a* 1=b" + (is_for_all(type) ? "*" : ""));
    for (unsigned host = 2; host < 4; ++host) {
      CHECK(has_attention(*cluster.run(host, test_unit_ready), registrations_preempted));
    }
    CHECK(cluster.run(0, test_unit_ready)->is_good());
    if (!is_for_all(type)) {
      CHECK(cluster.out(1, out_preempt, 0xb, 0, type)->refused_with(invalid_field_in_parameter_list));
    }
  }
  Cluster cluster;
  REQUIRE(cluster.out(0, out_register, 0, 0xa)->is_good());
  CHECK(cluster.out(0, out_preempt, 0xa, 0, 1)->refused_with(invalid_field_in_parameter_list));
  CHECK(cluster.out(0, out_preempt, 0xa, 0xa, 1)->is_good());  // itself, without a reservation: just gone
  CHECK(cluster.state() == "0:");
  CHECK(cluster.run(0, test_unit_ready)->is_good());
}

TEST_CASE("a holder that preempts itself keeps what it has", "[scsi][reservation][SPC-5 5.13.11.4]") {
  Cluster cluster;
  reserve(cluster, 5);
  REQUIRE(cluster.out(2, out_register, 0, 0xa)->is_good());  // shares the key
  REQUIRE(cluster.out(0, out_preempt, 0xa, 0xa, 6)->is_good());
  CHECK(cluster.state() == "6: 0=a* 1=b");
  CHECK(has_attention(*cluster.run(1, test_unit_ready), reservations_released));
  CHECK(has_attention(*cluster.run(2, test_unit_ready), registrations_preempted));
  CHECK(cluster.run(0, test_unit_ready)->is_good());
}

TEST_CASE("PREEMPT AND ABORT ends the tasks of those it preempts before it answers",
          "[scsi][reservation][SCSI-3][SPC-5 5.13.11.5]") {
  Cluster cluster;
  reserve(cluster, 5);
  REQUIRE(cluster.out(2, out_register, 0, 0xc)->is_good());
  cluster.disk->script->reads_wait = true;
  const auto in_device = cluster.begin(1, cdb10(0x28, 0, 1), 512);
  auto waiting = std::make_unique<Running>(*cluster.odd, cdb10(0x2a, 8, 1), 0, Bytes(512));
  waiting->mover.waits = true;
  cluster.odd.start(run_to_its_end(cluster.nexus(1), *waiting));
  const auto bystander = cluster.begin(2, cdb10(0x28, 0, 1), 512);
  const auto own = cluster.begin(0, cdb10(0x28, 0, 1), 512);
  cluster.step();
  const auto fencing = cluster.begin_out(0, out_abort, 0xa, 0xb, 5);
  cluster.step();
  CHECK(waiting->ended);
  CHECK(waiting->command.aborted);
  CHECK(cluster.disk->script->writes == 0);
  CHECK_FALSE(in_device->ended);
  CHECK_FALSE(fencing->ended);  // the device still has one
  // The preempted one is out already, and others are served meanwhile.
  CHECK(has_attention(*cluster.run(1, test_unit_ready), registrations_preempted));
  CHECK(conflicts(*cluster.write(1)));
  CHECK(cluster.state(2) == "5: 0=a* 2=c");
  CHECK(cluster.out(2, out_register, 0xc, 0xcc)->is_good());
  cluster.disk->script->release();
  cluster.step();
  CHECK(in_device->ended);
  CHECK(in_device->command.aborted);
  CHECK(in_device->mover.data_in.empty());
  CHECK(fencing->is_good());
  CHECK(bystander->is_good());
  CHECK(own->is_good());
}

TEST_CASE("PREEMPT AND ABORT of oneself ends one's other tasks", "[scsi][reservation][SCSI-3][SPC-5 5.13.11.5]") {
  Cluster cluster;
  reserve(cluster, 1);
  cluster.disk->script->reads_wait = true;
  const auto own = cluster.begin(0, cdb10(0x28, 0, 1), 512);
  const auto first = cluster.begin_out(0, out_abort, 0xa, 0xa, 3);
  const auto second = cluster.begin_out(0, out_abort, 0xa, 0xa, 3);  // neither may wait for the other
  cluster.step();
  CHECK_FALSE(first->ended);
  cluster.disk->script->release();
  cluster.step();
  CHECK(own->command.aborted);
  CHECK(first->is_good());
  CHECK(second->is_good());
  CHECK(cluster.state() == "3: 0=a* 1=b");
}

TEST_CASE("PREEMPT leaves the tasks of those it preempts alone", "[scsi][reservation][SPC-5 5.13.11.4]") {
  Cluster cluster;
  reserve(cluster, 5);
  cluster.disk->script->reads_wait = true;
  const auto reading = cluster.begin(1, cdb10(0x28, 0, 1), 512);
  CHECK(cluster.out(0, out_preempt, 0xa, 0xb, 5)->is_good());
  cluster.disk->script->release();
  cluster.step();
  CHECK(reading->is_good());
}

TEST_CASE("REGISTER AND MOVE hands the reservation over", "[scsi][reservation][SPC-5 5.13.8]") {
  const auto move_list = [](std::uint64_t key, std::uint64_t action_key, const std::string& name,
                            std::uint8_t flags = 0, std::uint16_t port = 1) {
    Bytes list(24);
    scsi::store64(list, 0, key);
    scsi::store64(list, 8, action_key);
    list[17] = flags;
    scsi::store16(list, 18, port);
    Bytes id;
    scsi::append_transport_id(id, name);
    scsi::store32(list, 20, id.size());
    list.insert(list.end(), id.begin(), id.end());
    return list;
  };
  Cluster cluster;
  REQUIRE(cluster.out(0, out_register, 0, 0xa)->is_good());
  CHECK(cluster.out(0, out_move, 0, move_list(0xa, 0xc, Cluster::initiator(2)))->refused_with(invalid_field_in_cdb));
  REQUIRE(cluster.out(0, out_register, 0xa, 0)->is_good());
  reserve(cluster, 5);
  CHECK(conflicts(*cluster.out(2, out_move, 0, move_list(0, 0xc, Cluster::initiator(1)))));
  CHECK(conflicts(*cluster.out(1, out_move, 0, move_list(0xb, 0xc, Cluster::initiator(2)))));
  CHECK(conflicts(*cluster.out(0, out_move, 0, move_list(0xb, 0xc, Cluster::initiator(2)))));
  for (const Bytes& bad :
       {move_list(0xa, 0, Cluster::initiator(2)), move_list(0xa, 0xc, Cluster::initiator(0)),
        move_list(0xa, 0xc, "iqn.2026-01.io.example:host2"), move_list(0xa, 0xc, Cluster::initiator(2), 0, 0),
        move_list(0xa, 0xc, Cluster::initiator(2), 0, 9)}) {
    CHECK(cluster.out(0, out_move, 0, bad)->refused_with(invalid_field_in_parameter_list));
  }
  CHECK(cluster.out(0, out_move, 0, move_list(0xa, 0xc, Cluster::initiator(2)))->is_good());
  CHECK(cluster.state() == "5: 0=a 1=b 2=c*");
  CHECK(cluster.out(2, out_move, 0, move_list(0xc, 0xbb, Cluster::initiator(1), 0x02))->is_good());
  CHECK(cluster.state() == "5: 0=a 1=bb*");
  CHECK(cluster.out(1, out_move, 0, move_list(0xbb, 0xe, Cluster::initiator(0), 0, 2))->is_good());
  CHECK(cluster.state() == "5: 0=a 1=bb 0@2=e*");
  CHECK(cluster.run(0, test_unit_ready)->is_good());

  Cluster all;
  reserve(all, 7);
  CHECK(conflicts(*all.out(0, out_move, 0, move_list(0xa, 0xc, Cluster::initiator(2)))));
}

TEST_CASE("SPEC_I_PT registers the ports it names", "[scsi][reservation][SCSI-3][SPC-5 6.16.3]") {
  Cluster cluster;
  REQUIRE(cluster.out(1, out_register, 0, 0xb)->is_good());
  const Bytes list = with_ports(reserve_out_list(0, 0xa), {Cluster::initiator(1), Cluster::initiator(2)});
  REQUIRE(cluster.out(0, out_register, 0, list)->is_good());
  CHECK(cluster.state() == "0: 1=b 0=a 2=a");
  CHECK(cluster.out(0, out_register, 0, with_ports(reserve_out_list(0xa, 0xa), {Cluster::initiator(2)}))
            ->refused_with(invalid_field_in_parameter_list));
  CHECK(cluster.out(0, out_ignore, 0, with_ports(reserve_out_list(0xa, 0xa), {Cluster::initiator(2)}))
            ->refused_with(invalid_field_in_parameter_list));
  REQUIRE(cluster.out(0, out_clear, 0xa, 0)->is_good());
  static_cast<void>(cluster.run(1, test_unit_ready));
  static_cast<void>(cluster.run(2, test_unit_ready));
  // Without an ISID: the ports of that initiator that are logged in.
  const auto by_device = [](const std::string& name) { return with_ports(reserve_out_list(0, 0xa), {name}); };
  CHECK(cluster.out(0, out_register, 0, by_device("iqn.2026-01.io.example:host2"))->is_good());
  CHECK(cluster.state() == "0: 0=a 2=a");
  REQUIRE(cluster.out(0, out_clear, 0xa, 0)->is_good());
  CHECK(cluster.out(0, out_register, 0, by_device("iqn.2026-01.io.example:host"))
            ->refused_with(invalid_field_in_parameter_list));
  CHECK(cluster.state() == "0:");
}

TEST_CASE("SPEC_I_PT lies are refused and change nothing", "[scsi][reservation][SCSI-3][SPC-5 6.16.3]") {
  Cluster cluster;
  const Bytes good = with_ports(reserve_out_list(0, 0xa), {Cluster::initiator(1), Cluster::initiator(2)});
  const auto try_it = [&](Bytes list) { return cluster.out(0, out_register, 0, list); };
  for (std::size_t size = 24; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK(try_it(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)))
              ->refused_with(parameter_list_length_error));
  }
  for (const std::uint32_t length : {0xffffffffu, 0x80000000u, static_cast<std::uint32_t>(good.size())}) {
    Bytes list = good;
    scsi::store32(list, 24, length);
    CHECK(try_it(list)->refused_with(parameter_list_length_error));
  }
  for (const std::uint32_t length : {1u, 3u, 4u, 27u}) {
    Bytes list = good;
    scsi::store32(list, 24, length);
    CHECK(try_it(list)->refused_with(invalid_field_in_parameter_list));
  }
  for (const unsigned length : {0u, 3u, 16u, 21u, 0xffffu}) {
    Bytes list = good;
    scsi::store16(list, 30, length);
    CHECK(try_it(list)->refused_with(invalid_field_in_parameter_list));
  }
  for (const std::uint8_t first : Bytes{0x40, 0x46, 0x85, 0xc5, 0x05}) {  // other protocols and formats
    Bytes list = good;
    list[28] = first;
    CHECK(try_it(list)->refused_with(invalid_field_in_parameter_list));
  }
  for (const char* name : {"host1,i,0x00023d000001", "iqn.a,i,0x", "iqn.a,i,0x00023d00000g", "iqn.a b,i,0x00023d000001",
                           "iqn.a,i,0x00023d0000011"}) {
    CHECK(try_it(with_ports(reserve_out_list(0, 0xa), {name}))->refused_with(invalid_field_in_parameter_list));
  }
  CHECK(cluster.state() == "0:");
  CHECK(cluster.generation() == 0);
  CHECK(try_it(good)->is_good());
}

TEST_CASE("ALL_TG_PT registers at every target port or not at all", "[scsi][reservation][SPC-5 6.16.3]") {
  Cluster cluster(2);
  REQUIRE(cluster.out(0, out_register, 0, 0xa, 0, all_tg_pt)->is_good());
  CHECK(cluster.state() == "0: 0=a 0@2=a");
  cluster.login(2, 2);
  REQUIRE(cluster.out(2, out_register, 0, 0xc)->is_good());
  CHECK(cluster.state() == "0: 0=a 0@2=a 2@2=c");
  cluster.logout(2);
  cluster.login(2, 1);
  CHECK(conflicts(*cluster.out(2, out_register, 0, 0xd, 0, all_tg_pt)));
  CHECK(cluster.state() == "0: 0=a 0@2=a 2@2=c");
  CHECK(cluster.out(2, out_ignore, 0, 0xd, 0, all_tg_pt)->is_good());
  CHECK(cluster.state() == "0: 0=a 0@2=a 2@2=d 2=d");
  CHECK(cluster.out(0, out_register, 0xa, 0, 0, all_tg_pt)->is_good());
  CHECK(cluster.state() == "0: 2@2=d 2=d");
}

TEST_CASE("PERSISTENT RESERVE OUT checks its parameter list", "[scsi][reservation][SPC-5 6.16.3]") {
  Cluster cluster;
  for (unsigned action = 0; action <= 8; ++action) {
    CAPTURE(action);
    const auto code = static_cast<std::uint8_t>(action);
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{8}, std::size_t{23}, std::size_t{25}, std::size_t{28}, std::size_t{65536}}) {
      CAPTURE(length);
      const auto run = cluster.run(0, reserve_out_cdb(code, 1, length), 0, Bytes(length));
      CHECK(run->refused_with(parameter_list_length_error));
    }
    CHECK(cluster.run(0, reserve_out_cdb(code, 1, 24), 0, Bytes(20))
              ->refused_with(invalid_field_in_command_information_unit));
  }
  CHECK(cluster.run(0, {0x5f, 0x09, 0, 0, 0, 0, 0, 0, 24, 0}, 0, Bytes(24))->refused_with(invalid_field_in_cdb));
  CHECK(cluster.run(0, reserve_in_cdb(4), 255)->refused_with(invalid_field_in_cdb));
  CHECK(cluster.out(0, out_replace, 0, 0xa, 1)->refused_with(invalid_field_in_cdb));  // nothing is lost
}

TEST_CASE("PERSISTENT RESERVE IN gives what its allocation length allows", "[scsi][reservation][SCSI-1][SPC-5 6.15]") {
  Cluster cluster;
  reserve(cluster, 5);
  for (std::uint8_t action = 0; action < 4; ++action) {
    const Bytes whole = cluster.run(0, reserve_in_cdb(action), 0xffff)->mover.data_in;
    REQUIRE(whole.size() >= 8);
    for (std::size_t length = 0; length <= whole.size() + 2; ++length) {
      const auto cut = cluster.run(0, reserve_in_cdb(action, static_cast<std::uint16_t>(length)), 0xffff);
      REQUIRE(cut->is_good());
      REQUIRE(cut->mover.data_in ==
              Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(std::min(length, whole.size()))));
    }
  }
  const Bytes keys = cluster.run(2, reserve_in_cdb(0), 255)->mover.data_in;
  CHECK(keys == Bytes{0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0xa, 0, 0, 0, 0, 0, 0, 0, 0xb});
  const Bytes held = cluster.run(2, reserve_in_cdb(1), 255)->mover.data_in;
  CHECK(held == Bytes{0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0xa, 0, 0, 0, 0, 0, 5, 0, 0});
  // Without a folder nothing survives: neither PTPL_C nor RLR_C.
  CHECK(cluster.run(2, reserve_in_cdb(2), 255)->mover.data_in == Bytes{0, 8, 0x1c, 0xb0, 0xea, 0x01, 0, 0});
  CHECK(cluster.out(2, out_register, 0, 0xc, 0, aptpl)->refused_with(invalid_field_in_parameter_list));
  CHECK(cluster.state() == "5: 0=a* 1=b");
}

TEST_CASE("a volume takes a thousand registrants and no more", "[scsi][reservation][SCSI-3][SPC-5 5.13.7]") {
  constexpr std::size_t registrants_max = 1000;
  CHECK(volume::ReservationTable::registrants_max == registrants_max);
  Cluster cluster(5);
  const auto many = [](unsigned first, std::size_t count) {
    std::vector<std::string> names;
    for (unsigned index = 0; index < count; ++index) {
      std::string digits = std::to_string(100000 + first * 1000 + index);
      names.push_back("iqn.2026-01.io.example:host" + digits + ",i,0x00023d000000");
    }
    return names;
  };
  for (unsigned host = 0; host < 3; ++host) {
    REQUIRE(cluster.out(host, out_register, 0, with_ports(reserve_out_list(0, 0xa), many(host, 332)))->is_good());
  }
  CHECK(cluster.out(3, out_register, 0, with_ports(reserve_out_list(0, 0xa), many(3, 1)))
            ->refused_with(insufficient_registration_resources));
  REQUIRE(cluster.out(3, out_register, 0, 0xa)->is_good());
  CHECK(cluster.out(4, out_register, 0, 0xa)->refused_with(insufficient_registration_resources));
  CHECK(cluster.generation() == 4);
  const auto keys = cluster.run(0, reserve_in_cdb(0), 0xffff);
  CHECK(keys->mover.data_in.size() == 8 + 8 * registrants_max);
  const auto full = cluster.run(0, reserve_in_cdb(3), 0xffff);
  CHECK(full->mover.data_in.size() == 0xffff);
  CHECK(scsi::load32(full->mover.data_in, 4) > 0xffff - 8);
  CHECK(cluster.out(0, out_reserve, 0xa, 0, 6)->is_good());
  CHECK(cluster.write(3)->is_good());
  CHECK(conflicts(*cluster.write(4)));
  CHECK(cluster.out(0, out_preempt, 0xa, 0xa, 6)->is_good());
  CHECK(cluster.state() == "6: 0=a*");
}

TEST_CASE("a command that waits for its turn meets the reservation of then", "[scsi][reservation][SAM-5 5.3]") {
  Cluster cluster;
  cluster.disk->script->reads_wait = true;
  const auto reading = cluster.begin(1, cdb10(0x28, 0, 1), 512);
  auto ordered = std::make_unique<Running>(*cluster.odd, cdb10(0x2a, 9, 1), 0, Bytes(512));
  ordered->command.attribute = scsi_server::TaskAttribute::ordered;
  cluster.odd.start(run_to_its_end(cluster.nexus(1), *ordered));
  cluster.step();
  REQUIRE(cluster.out(0, out_register, 0, 0xa)->is_good());
  REQUIRE(cluster.out(0, out_reserve, 0xa, 0, 3)->is_good());
  cluster.disk->script->release();
  cluster.step();
  CHECK(reading->is_good());
  CHECK(conflicts(*ordered));
}

TEST_CASE("a change of reservations waits for no command and survives a publish", "[scsi][reservation][volume]") {
  Cluster cluster;
  cluster.disk->script->reads_wait = true;
  const auto reading = cluster.begin(1, cdb10(0x28, 0, 1), 512);
  volume::View view = *cluster.disk->volume->view();
  view.physical_block_bytes = 512;
  cluster.management.start(cluster.disk->volume->publish(view));  // made before there was a reservation
  reserve(cluster, 3);
  CHECK_FALSE(reading->ended);
  CHECK(cluster.management.running() == 1);
  CHECK(conflicts(*cluster.write(1)));
  CHECK(cluster.disk->volume->view()->physical_block_bytes == 512);
  for (unsigned round = 0; round < 50; ++round) {
    REQUIRE(cluster.out(0, out_release, 0xa, 0, 3)->is_good());
    REQUIRE(cluster.out(0, out_reserve, 0xa, 0, 3)->is_good());
  }
  cluster.management.start(cluster.disk->volume->publish(view));
  cluster.step();
  CHECK(conflicts(*cluster.write(1)));
  cluster.disk->script->release();
  cluster.step();
  CHECK(reading->is_good());
  CHECK(cluster.management.running() == 0);
}
