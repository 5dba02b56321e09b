// Task management, reinstatement and the ends of sessions: no task is left behind, no answer comes too early.
#include <catch2/catch.hpp>

#include "tests/unit/iscsi/fixture.h"

namespace lunaris::sim {
namespace {

using Code = iscsi::TaskManagementResponseCode;
using Function = iscsi::TaskManagementFunction;

TEST_CASE("ABORT TASK ends a write that waits for its data", "[iscsi][RFC7143-11.5]") {
  Fixture fixture(no_immediate_data());
  fixture.initiator.ignore_r2ts();
  const auto before = fixture.on_medium(0, 4096);
  const std::uint32_t tag = fixture.initiator.start_write(0, pattern(4096, 1));
  fixture.world.run_until([&] { return fixture.initiator.poll() || fixture.initiator.r2ts_seen() == 1; }, second_ns);
  fixture.initiator.send(fixture.task_management(Function::abort_task, tag));
  REQUIRE(fixture.task_management_answer() == Code::function_complete);
  REQUIRE_FALSE(fixture.initiator.has_ended(tag));
  REQUIRE(fixture.target.bytes_in_use() <= 65536);

  // Data that was on its way is thrown away without a word (SN-2).
  iscsi::DataOut late;
  late.initiator_task_tag = tag;
  late.target_transfer_tag = 1;
  late.final_bit = true;
  late.exp_stat_sn = fixture.initiator.exp_stat_sn();
  fixture.initiator.send(late, pattern(4096, 1));
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
  REQUIRE(fixture.initiator.inbox.empty());
  REQUIRE(fixture.on_medium(0, 4096) == before);
  fixture.initiator.forget(tag);
  fixture.check_clean_logout();
}

TEST_CASE("ABORT TASK of a task that is not there says so", "[iscsi][RFC7143-11.6.1]") {
  Fixture fixture;
  fixture.initiator.send(fixture.task_management(Function::abort_task, 0x4444));
  REQUIRE(fixture.task_management_answer() == Code::task_does_not_exist);
}

TEST_CASE("BE-2 a hung back end holds the answer to ABORT TASK and nothing else", "[iscsi][BE-2]") {
  Fixture fixture;
  fixture.target.medium().hanging = true;
  const std::uint32_t tag = fixture.initiator.start_read(0, 8);
  fixture.world.run_for(second_ns);
  fixture.initiator.send(fixture.task_management(Function::abort_task, tag));
  REQUIRE_FALSE(fixture.initiator.receive(10 * second_ns));
  // The session answers everything else meanwhile.
  REQUIRE(fixture.initiator.run({0, 0, 0, 0, 0, 0}, 0).status == 0);
  fixture.target.medium().hanging = false;
  REQUIRE(fixture.task_management_answer() == Code::function_complete);
  REQUIRE_FALSE(fixture.initiator.has_ended(tag));
  fixture.initiator.forget(tag);
  fixture.check_clean_logout();
}

TEST_CASE("LOGICAL UNIT RESET ends the tasks of all sessions", "[iscsi][RFC7143-11.5.1][SAM-5-7.7]") {
  Fixture fixture(no_immediate_data());
  LoginOptions options = no_immediate_data();
  options.initiator = "iqn.2026-01.io.example:second";
  options.isid = 0x00023d000002;
  const auto second = fixture.another(options);
  second->clear_unit_attentions();
  second->ignore_r2ts();
  fixture.initiator.ignore_r2ts();
  const std::uint32_t own = fixture.initiator.start_write(0, pattern(4096, 1));
  const std::uint32_t foreign = second->start_write(64, pattern(4096, 2));
  fixture.world.run_until(
      [&] {
        fixture.initiator.poll();
        second->poll();
        return fixture.initiator.r2ts_seen() == 1 && second->r2ts_seen() == 1;
      },
      second_ns);
  fixture.initiator.send(fixture.task_management(Function::logical_unit_reset));
  REQUIRE(fixture.task_management_answer() == Code::function_complete);
  REQUIRE_FALSE(fixture.initiator.has_ended(own));
  REQUIRE_FALSE(second->has_ended(foreign));
  // The other initiator hears of it with its next command.
  const CommandResult told = second->run({0, 0, 0, 0, 0, 0}, 0);
  REQUIRE(told.status == check_condition);
  REQUIRE(told.sense.at(12) == std::byte{0x29});
  second->log_out();
  REQUIRE(second->wait_closed());
  fixture.check_clean_logout();
}

TEST_CASE("TARGET COLD RESET is answered and then ends every session with the target", "[iscsi][RFC7143-11.5.1]") {
  Fixture fixture;
  LoginOptions options;
  options.initiator = "iqn.2026-01.io.example:second";
  options.isid = 0x00023d000002;
  const auto second = fixture.another(options);
  second->clear_unit_attentions();
  REQUIRE(second->run({0x16, 0, 0, 0, 0, 0}, 0).status == 0);
  REQUIRE(fixture.initiator.run({0, 0, 0, 0, 0, 0}, 0).status == 0x18);  // RESERVATION CONFLICT
  fixture.initiator.send(fixture.task_management(Function::target_cold_reset));
  REQUIRE(fixture.task_management_answer() == Code::function_complete);
  REQUIRE(fixture.initiator.wait_closed());
  REQUIRE(second->wait_closed());
  const auto again = fixture.another(LoginOptions{});
  again->clear_unit_attentions();
  REQUIRE(again->run({0, 0, 0, 0, 0, 0}, 0).status == 0);
  again->log_out();
  REQUIRE(again->wait_closed());
}

TEST_CASE("ABORT TASK SET ends the session's tasks on the unit", "[iscsi][RFC7143-11.5.1]") {
  Fixture fixture;
  fixture.target.medium().delay_ns_max = second_ns;
  for (std::uint32_t i = 0; i < 20; ++i) fixture.initiator.start_read(i, 1);
  fixture.initiator.send(fixture.task_management(Function::abort_task_set));
  REQUIRE(fixture.task_management_answer() == Code::function_complete);
  fixture.world.run_for(5 * second_ns);
  fixture.initiator.poll();
  REQUIRE(fixture.initiator.commands_running() > 0);
  REQUIRE(fixture.initiator.inbox.empty());
  fixture.check_clean_logout();
}

TEST_CASE("task management for a LUN that is not there says so", "[iscsi][RFC7143-11.6.1]") {
  Fixture fixture;
  auto pdu = fixture.task_management(Function::logical_unit_reset);
  pdu.lun = std::uint64_t{77} << 48;
  fixture.initiator.send(pdu);
  REQUIRE(fixture.task_management_answer() == Code::lun_does_not_exist);
}

TEST_CASE("functions that are not supported are answered as such", "[iscsi][RFC7143-11.6.1]") {
  Fixture fixture;
  fixture.initiator.send(fixture.task_management(Function::clear_aca));
  REQUIRE(fixture.task_management_answer() == Code::function_not_supported);
  fixture.initiator.send(fixture.task_management(Function::task_reassign, 5));
  REQUIRE(fixture.task_management_answer() == Code::reassignment_not_supported);
  fixture.initiator.send(fixture.task_management(static_cast<Function>(55)));
  REQUIRE(fixture.task_management_answer() == Code::function_not_supported);
}

TEST_CASE("SES-1 a login with the same ISID ends the old session first", "[iscsi][SES-1][RFC7143-6.3.5]") {
  SimWorld world(3);
  SimTarget target(world);
  target.medium().delay_ns_max = 20'000'000;
  std::unique_ptr<Initiator> old;
  for (int round = 0; round < 20; ++round) {
    auto initiator = std::make_unique<Initiator>(world, target.connect());
    const auto login = initiator->login(no_immediate_data());
    REQUIRE(login);
    REQUIRE(login->status == iscsi::LoginStatus::success);
    REQUIRE(target.medium().running == 0);
    if (old) REQUIRE(old->wait_closed(second_ns));
    REQUIRE(target.sessions().size() == 1);
    initiator->clear_unit_attentions();
    REQUIRE(initiator->read(0, 8).status == 0);
    initiator->ignore_r2ts();
    for (std::uint32_t i = 0; i < 16; ++i) {
      initiator->start_read(i * 8, 8);
      initiator->start_write(1000 + i * 8, pattern(4096, i));
    }
    world.run_for(world.below(10'000'000));
    old = std::move(initiator);
  }
  old->log_out();
  REQUIRE(old->wait_closed());
  world.run_for(second_ns);
  REQUIRE(target.sessions().empty());
  REQUIRE(target.bytes_in_use() == 0);
}

TEST_CASE("SES-1 reinstatement waits for tasks that hang in the back end", "[iscsi][SES-1][BE-2]") {
  Fixture fixture;
  fixture.target.medium().hanging = true;
  fixture.initiator.start_read(0, 8);
  fixture.world.run_for(second_ns);
  fixture.world.after(3 * second_ns, [&] { fixture.target.medium().hanging = false; });
  const std::uint64_t begin = fixture.world.now_ns();
  const auto again = fixture.another({});
  REQUIRE(fixture.world.now_ns() - begin >= 3 * second_ns);
  again->clear_unit_attentions();
  again->log_out();
  REQUIRE(again->wait_closed());
  fixture.check_empty();
}

TEST_CASE("initiators that differ in name or ISID do not end one another", "[iscsi][RFC7143-4.4.3]") {
  Fixture fixture;
  LoginOptions options;
  options.isid = 0x00023d000009;
  const auto second = fixture.another(options);
  LoginOptions third_options;
  third_options.initiator = "iqn.2026-01.io.example:third";
  const auto third = fixture.another(third_options);
  REQUIRE(fixture.target.sessions().size() == 3);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("CON-3 a connection that breaks anywhere leaves nothing behind", "[iscsi][CON-3]") {
  const bool by_reset = GENERATE(true, false);
  SimWorld world(5);
  SimTarget target(world);
  target.medium().delay_ns_max = 3'000'000;
  for (std::size_t cut = 0; cut < 200; ++cut) {
    LoginOptions options;
    options.isid = cut;
    options.initial_r2t = cut % 2 == 0;
    Initiator initiator(world, target.connect());
    REQUIRE(initiator.login(options)->status == iscsi::LoginStatus::success);
    for (std::uint32_t i = 0; i < 8; ++i) {
      initiator.start_read(i * 128, 128);
      initiator.start_write(4096 + i * 256, pattern(131072, i));
    }
    world.run_for(cut * 50'000);
    initiator.poll();
    if (by_reset) {
      initiator.peer().reset();
    } else {
      initiator.peer().finish();
    }
    REQUIRE(initiator.wait_closed(second_ns));
  }
  world.run_for(second_ns);
  REQUIRE(target.sessions().empty());
  REQUIRE(target.bytes_in_use() == 0);
  REQUIRE(target.medium().running == 0);
}

TEST_CASE("responses that are ready leave before the answer to a logout", "[iscsi][RFC7143-11.14]") {
  Fixture fixture;
  const std::uint32_t tag = fixture.initiator.start_read(0, 8);
  fixture.initiator.log_out();
  REQUIRE(fixture.initiator.wait_closed());
  REQUIRE(fixture.initiator.has_ended(tag));
  REQUIRE(fixture.initiator.inbox.size() == 1);
  const auto* response = fixture.initiator.inbox.front().as<iscsi::LogoutResponse>();
  REQUIRE(response != nullptr);
  REQUIRE(response->response == iscsi::LogoutResponseCode::success);
  fixture.check_empty();
}

}  // namespace
}  // namespace lunaris::sim
