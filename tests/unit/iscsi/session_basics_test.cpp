// Login, discovery, logout and what the administrator does to sessions, as an initiator sees them.
#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "server/iscsi/task_table.h"
#include "tests/unit/iscsi/fixture.h"

namespace lunaris::sim {
namespace {

std::string text_of(const std::vector<std::byte>& data) {
  std::string text;
  for (const std::byte byte : data) text.push_back(byte == std::byte{0} ? '\n' : static_cast<char>(byte));
  return text;
}

iscsi::TextRequest send_targets(Initiator& initiator) {
  iscsi::TextRequest pdu;
  pdu.immediate = true;
  pdu.final_bit = true;
  pdu.initiator_task_tag = initiator.next_tag();
  pdu.cmd_sn = initiator.cmd_sn();
  pdu.exp_stat_sn = initiator.exp_stat_sn();
  return pdu;
}

std::vector<std::byte> key_value(std::string_view text) {
  std::vector<std::byte> data(text.size() + 1);
  std::memcpy(data.data(), text.data(), text.size());
  return data;
}

TEST_CASE("an initiator logs in and reads what is on the volume", "[iscsi][RFC7143-6.3]") {
  SimWorld world(1);
  SimTarget target(world);
  const auto content = pattern(4096, 7);
  std::copy(content.begin(), content.end(), target.medium().bytes.begin() + 16 * block_bytes);

  Initiator initiator(world, target.connect());
  const auto login = initiator.login();
  REQUIRE(login);
  REQUIRE(login->status == iscsi::LoginStatus::success);
  // The window of the first response holds already.
  REQUIRE(login->sn.exp_cmd_sn.distance_to(login->sn.max_cmd_sn) == 127);
  initiator.clear_unit_attentions();
  const CommandResult read = initiator.read(16, 8);
  REQUIRE(read.ended);
  REQUIRE(read.status == 0);
  REQUIRE(read.data == content);

  const auto sessions = target.sessions();
  REQUIRE(sessions.size() == 1);
  REQUIRE(sessions[0].target == target_name);
  REQUIRE(sessions[0].tsih == login->tsih);
  REQUIRE(sessions[0].read_bytes == 4096);
}

TEST_CASE("sessions are spread over the workers", "[iscsi]") {
  SimWorld world(1);
  SimTargetOptions options;
  options.workers = 3;
  SimTarget target(world, options);
  std::vector<std::unique_ptr<Initiator>> initiators;
  for (std::uint64_t i = 0; i < 6; ++i) {
    initiators.push_back(std::make_unique<Initiator>(world, target.connect()));
    LoginOptions login;
    login.isid = i;
    REQUIRE(initiators.back()->login(login)->status == iscsi::LoginStatus::success);
  }
  std::array<int, 3> per_worker{};
  for (const SessionInfo& info : target.sessions()) ++per_worker.at(info.worker);
  REQUIRE(per_worker == std::array<int, 3>{2, 2, 2});
}

TEST_CASE("a login to a target that is not there is refused as not found", "[iscsi][RFC7143-11.13.5]") {
  SimWorld world(1);
  SimTarget target(world);
  Initiator initiator(world, target.connect());
  LoginOptions options;
  options.target = "iqn.2026-01.io.example:other";
  const auto login = initiator.login(options);
  REQUIRE(login);
  REQUIRE(login->status == iscsi::LoginStatus::not_found);
  REQUIRE(initiator.wait_closed(second_ns));
}

TEST_CASE("an initiator that may not use the target is refused and does not see it", "[iscsi][RFC7143-11.13.5]") {
  SimWorld world(1);
  SimTarget target(world);
  auto exports = SimTarget::make_exports(target.make_luns({0}));
  exports->targets[target_name].allowed_initiators = {"iqn.2026-01.io.example:friend"};
  target.apply(exports);
  Initiator stranger(world, target.connect());
  REQUIRE(stranger.login()->status == iscsi::LoginStatus::authorization_failure);
  Initiator guest(world, target.connect());
  LoginOptions discovery;
  discovery.discovery = true;
  REQUIRE(guest.login(discovery)->status == iscsi::LoginStatus::success);
  guest.send(send_targets(guest), key_value("SendTargets=All"));
  const auto answer = guest.receive();
  REQUIRE(answer);
  REQUIRE(answer->data.empty());
  LoginOptions friendly;
  friendly.initiator = "iqn.2026-01.io.example:friend";
  Initiator invited(world, target.connect());
  REQUIRE(invited.login(friendly)->status == iscsi::LoginStatus::success);
}

TEST_CASE("a TSIH that is not zero names no session that could take a connection", "[iscsi][RFC7143-6.3.1]") {
  Fixture fixture;
  LoginOptions options;
  options.tsih = 999;
  Initiator unknown(fixture.world, fixture.target.connect());
  REQUIRE(unknown.login(options)->status == iscsi::LoginStatus::session_does_not_exist);
  options.tsih = fixture.target.sessions().at(0).tsih;
  Initiator second(fixture.world, fixture.target.connect());
  REQUIRE(second.login(options)->status == iscsi::LoginStatus::too_many_connections);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("a discovery session lists targets and takes no commands", "[iscsi][RFC7143-4.3]") {
  LoginOptions options;
  options.discovery = true;
  Fixture fixture(options);
  fixture.initiator.send(send_targets(fixture.initiator), key_value("SendTargets=All"));
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  REQUIRE(answer->as<iscsi::TextResponse>() != nullptr);
  REQUIRE(text_of(answer->data).find("TargetName=" + target_name) == 0);
  fixture.initiator.start_read(0, 1);
  REQUIRE(fixture.reject_reason() == iscsi::RejectReason::protocol_error);
  fixture.check_clean_logout();
}

TEST_CASE("a normal session finds its own target by SendTargets", "[iscsi][RFC7143-C]") {
  Fixture fixture;
  fixture.initiator.send(send_targets(fixture.initiator), key_value("SendTargets="));
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  REQUIRE(text_of(answer->data).find("TargetName=" + target_name) == 0);
}

TEST_CASE("a ping comes back with its data", "[iscsi][RFC7143-11.18]") {
  Fixture fixture;
  const std::size_t size = GENERATE(0U, 1U, 3U, 4096U, 60000U);
  iscsi::NopOut ping;
  ping.initiator_task_tag = fixture.initiator.next_tag();
  ping.cmd_sn = fixture.initiator.take_cmd_sn();
  ping.exp_stat_sn = fixture.initiator.exp_stat_sn();
  fixture.initiator.send(ping, pattern(size, 3));
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  const auto* pong = answer->as<iscsi::NopIn>();
  REQUIRE(pong != nullptr);
  REQUIRE(pong->initiator_task_tag == ping.initiator_task_tag);
  REQUIRE(answer->data == pattern(size, 3));
  fixture.check_clean_logout();
}

TEST_CASE("a logout of a connection that is not there and one for recovery are refused", "[iscsi][RFC7143-11.15.1]") {
  Fixture fixture;
  iscsi::LogoutRequest pdu;
  pdu.immediate = true;
  pdu.initiator_task_tag = fixture.initiator.next_tag();
  pdu.cmd_sn = fixture.initiator.cmd_sn();
  pdu.exp_stat_sn = fixture.initiator.exp_stat_sn();
  pdu.cid = 77;
  const bool recovery = GENERATE(true, false);
  pdu.reason = static_cast<std::uint8_t>(recovery ? iscsi::LogoutReason::remove_for_recovery
                                                  : iscsi::LogoutReason::close_connection);
  fixture.initiator.send(pdu);
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  const auto* response = answer->as<iscsi::LogoutResponse>();
  REQUIRE(response != nullptr);
  REQUIRE(response->response ==
          (recovery ? iscsi::LogoutResponseCode::recovery_not_supported : iscsi::LogoutResponseCode::cid_not_found));
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("SES-2 sessions of a target that vanishes are told and closed", "[iscsi][SES-2]") {
  Fixture fixture;
  fixture.target.medium().delay_ns_max = 50'000'000;
  for (std::uint32_t i = 0; i < 32; ++i) fixture.initiator.start_read(i, 8);
  fixture.world.run_for(2'000'000);
  fixture.target.apply(std::make_shared<Exports>());
  REQUIRE(fixture.target.sessions().empty());
  REQUIRE(fixture.initiator.wait_closed(second_ns));
  REQUIRE_FALSE(fixture.initiator.inbox.empty());
  const auto* async = fixture.initiator.inbox.back().as<iscsi::AsyncMessage>();
  REQUIRE(async != nullptr);
  REQUIRE(async->event == iscsi::AsyncEvent::drop_session);
  fixture.check_empty();
}

TEST_CASE("SES-2 a changed LUN map reaches the session that is logged in", "[iscsi][SES-2]") {
  Fixture fixture;
  const std::uint64_t lun_5 = std::uint64_t{5} << 48;
  REQUIRE(fixture.initiator.run({0, 0, 0, 0, 0, 0}, 0, lun_5).status == check_condition);
  fixture.target.apply(SimTarget::make_exports(fixture.target.make_luns({0, 5})));
  fixture.initiator.clear_unit_attentions(lun_5);
  REQUIRE(fixture.initiator.run({0, 0, 0, 0, 0, 0}, 0, lun_5).status == 0);
  fixture.initiator.clear_unit_attentions();
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("the administrator drops one session and no other", "[iscsi]") {
  Fixture fixture;
  LoginOptions options;
  options.isid = 0x00023d000007;
  const auto second = fixture.another(options);
  std::string id;
  for (const SessionInfo& info : fixture.target.sessions())
    if (info.isid == options.isid) id = info.id;
  struct Drop {
    static runtime::Task<> run(iscsi_server::IscsiTransport* transport, std::string session, bool* dropped) {
      *dropped = co_await transport->drop_session(std::move(session));
    }
  };
  bool dropped = false;
  run_task(fixture.world, fixture.target.management(), Drop::run(&fixture.target.transport(), id, &dropped));
  REQUIRE(dropped);
  REQUIRE(second->wait_closed(second_ns));
  run_task(fixture.world, fixture.target.management(), Drop::run(&fixture.target.transport(), "s-4711", &dropped));
  REQUIRE_FALSE(dropped);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("stopping asks for logouts first and closes who stays", "[iscsi][RFC7143-11.9.1]") {
  Fixture fixture;
  const bool leaves = GENERATE(true, false);
  CAPTURE(leaves);
  bool asked = false;
  fixture.initiator.peer().pipe().on_bytes_for_peer = [&] {
    fixture.initiator.poll();
    for (; !fixture.initiator.inbox.empty(); fixture.initiator.inbox.pop_front()) {
      const auto* async = fixture.initiator.inbox.front().as<iscsi::AsyncMessage>();
      if (async == nullptr || async->event != iscsi::AsyncEvent::logout_request) continue;
      asked = true;
      if (leaves) fixture.initiator.log_out();
    }
  };
  const std::uint64_t begin = fixture.world.now_ns();
  REQUIRE(fixture.target.stop(5000));
  REQUIRE(asked);
  REQUIRE(fixture.initiator.is_closed());
  REQUIRE((fixture.world.now_ns() - begin < 2 * second_ns) == leaves);
  REQUIRE(fixture.target.bytes_in_use() == 0);
}

TEST_CASE("the task table finds every tag it holds and no other", "[iscsi][task-table]") {
  iscsi_server::TaskTable table;
  std::mt19937 random(7);
  std::map<std::uint32_t, std::uint16_t> model;
  for (int step = 0; step < 20000; ++step) {
    // Few different tags, most of them close together, so that runs of cells form and break.
    const auto tag = static_cast<std::uint32_t>(random() % 3 == 0 ? random() % 64 * 512 : random() % 400);
    const auto found = model.find(tag);
    REQUIRE(table.find(tag) == (found == model.end() ? iscsi_server::TaskTable::none : found->second));
    if (found != model.end()) {
      table.erase(tag);
      model.erase(found);
    } else if (model.size() < iscsi_server::limits::command_slots) {
      const auto index = static_cast<std::uint16_t>(random() % 1000);
      table.insert(tag, index);
      model[tag] = index;
    }
    REQUIRE(table.size() == model.size());
  }
}

}  // namespace
}  // namespace lunaris::sim
