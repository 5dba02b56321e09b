// Everything a peer can do wrong (RELIABILITY section 2): it is rejected or loses its connection, nothing is left
// behind, and the session beside it notices nothing.
#include <catch2/catch.hpp>
#include <random>

#include "tests/unit/iscsi/fixture.h"

namespace lunaris::sim {
namespace {

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::array<std::byte, iscsi::bhs_bytes> header_of(const iscsi::NopOut& pdu) {
  std::array<std::byte, iscsi::bhs_bytes> bytes{};
  iscsi::encode(pdu, iscsi::BhsSpan(bytes));
  return bytes;
}

LoginOptions vandal(std::uint64_t isid = 1) {
  LoginOptions options;
  options.initiator = "iqn.2026-01.io.example:vandal";
  options.isid = isid;
  return options;
}

TEST_CASE("PDU-1 random bytes before and after the login hurt nobody else", "[iscsi][PDU-1]") {
  Fixture fixture;
  std::mt19937_64 random(20260101);
  for (std::uint64_t round = 0; round < 200; ++round) {
    CAPTURE(round);
    Initiator peer(fixture.world, fixture.target.connect({}, "192.0.2.99"));
    if (round % 2 == 0) REQUIRE(peer.login(vandal(round))->status == iscsi::LoginStatus::success);
    auto bytes = random_bytes(random, 1 + random() % 300);
    if (bytes.size() > 8 && round % 4 < 2) bytes[4] = bytes[5] = bytes[6] = std::byte{0};
    peer.send_raw(bytes);
    fixture.world.run_for(10'000'000);
    peer.peer().finish();
    REQUIRE(
        fixture.world.run_until([&] { return peer.is_closed() || (peer.poll(), peer.is_closed()); }, 60 * second_ns));
    REQUIRE(fixture.initiator.read(0, 8).status == 0);
  }
  fixture.check_clean_logout();
}

TEST_CASE("PDU-1 a login that is cut at any byte is dropped", "[iscsi][PDU-1]") {
  SimWorld world(2);
  SimTarget target(world);
  std::string text = "InitiatorName=iqn.2026-01.io.example:cut";
  text.push_back('\0');
  iscsi::LoginRequest request;
  request.transit = true;
  request.current_stage = 1;
  request.next_stage = 3;
  request.data_segment_length = static_cast<std::uint32_t>(text.size());
  std::array<std::byte, iscsi::bhs_bytes> header{};
  iscsi::encode(request, iscsi::BhsSpan(header));
  iscsi::set_data_segment_length(iscsi::BhsSpan(header), request.data_segment_length);
  std::vector<std::byte> bytes(header.begin(), header.end());
  for (const char character : text) bytes.push_back(static_cast<std::byte>(character));
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    Initiator peer(world, target.connect());
    peer.send_raw(std::span(bytes).first(cut));
    peer.peer().finish();
    REQUIRE(peer.wait_closed(second_ns));
  }
  REQUIRE(target.bytes_in_use() == 0);
}

TEST_CASE("PDU-2 a data segment beyond the agreed length ends the connection", "[iscsi][PDU-2]") {
  Fixture fixture;
  iscsi::NopOut pdu;
  pdu.initiator_task_tag = 9;
  pdu.immediate = true;
  auto bytes = header_of(pdu);
  iscsi::set_data_segment_length(iscsi::BhsSpan(bytes), GENERATE(262145U, iscsi::data_segment_bytes_max));
  fixture.initiator.send_raw(bytes);
  REQUIRE(fixture.initiator.wait_closed(5 * second_ns));
  fixture.check_empty();
}

TEST_CASE("PDU-2 an additional header segment that lies is rejected or ends the connection", "[iscsi][PDU-2]") {
  Fixture fixture;
  std::mt19937_64 random(4);
  for (int round = 0; round < 60; ++round) {
    Initiator peer(fixture.world, fixture.target.connect({}, "192.0.2.99"));
    REQUIRE(peer.login(vandal())->status == iscsi::LoginStatus::success);
    iscsi::ScsiCommand pdu = peer.command(read_10(0, 1));
    pdu.read = true;
    pdu.expected_data_transfer_length = 512;
    std::array<std::byte, iscsi::bhs_bytes> header{};
    iscsi::encode(pdu, iscsi::BhsSpan(header));
    header[4] = static_cast<std::byte>(round == 0 ? 255 : 1 + random() % 16);
    std::vector<std::byte> bytes(header.begin(), header.end());
    const auto ahs = random_bytes(random, static_cast<std::size_t>(header[4]) * 4);
    bytes.insert(bytes.end(), ahs.begin(), ahs.end());
    peer.send_raw(bytes);
    fixture.world.run_for(second_ns / 10);
    peer.poll();
    REQUIRE((peer.is_closed() || !peer.inbox.empty()));
    peer.peer().reset();
  }
  fixture.check_alive();
}

TEST_CASE("PDU-3 commands sent right behind the login are carried over to the session", "[iscsi][PDU-3]") {
  SimWorld world(9);
  SimTarget target(world);
  Initiator initiator(world, target.connect());
  // A reserved tag: the NOP-Out asks for nothing; the one behind it does.
  std::string text = "InitiatorName=iqn.2026-01.io.example:early";
  text.push_back('\0');
  text += "TargetName=" + target_name;
  text.push_back('\0');
  iscsi::LoginRequest request;
  request.transit = true;
  request.current_stage = 1;
  request.next_stage = 3;
  request.initiator_task_tag = 1;
  request.cmd_sn = iscsi::SerialNumber(1);
  initiator.send(request, std::as_bytes(std::span(text)));
  iscsi::NopOut ping;
  ping.initiator_task_tag = 2;
  ping.cmd_sn = iscsi::SerialNumber(1);
  initiator.send(ping, pattern(100, 1));
  const auto login = initiator.receive();
  REQUIRE(login);
  REQUIRE(login->as<iscsi::LoginResponse>() != nullptr);
  const auto pong = initiator.receive();
  REQUIRE(pong);
  REQUIRE(pong->as<iscsi::NopIn>() != nullptr);
  REQUIRE(pong->data == pattern(100, 1));
}

TEST_CASE("PDU-3 a login in full feature phase ends the connection", "[iscsi][PDU-3]") {
  Fixture fixture;
  iscsi::LoginRequest request;
  request.transit = true;
  request.current_stage = 1;
  request.next_stage = 3;
  fixture.initiator.send(request, {});
  REQUIRE(fixture.initiator.wait_closed(5 * second_ns));
  fixture.check_empty();
}

TEST_CASE("PDU-3 a PDU other than Login before the login ends the connection", "[iscsi][PDU-3]") {
  SimWorld world(9);
  SimTarget target(world);
  Initiator initiator(world, target.connect());
  initiator.start_read(0, 1);
  REQUIRE(initiator.wait_closed(5 * second_ns));
  REQUIRE(target.sessions().empty());
}

TEST_CASE("PDU-3 an unknown opcode is rejected and the session goes on", "[iscsi][PDU-3][RFC7143-11.17]") {
  Fixture fixture;
  iscsi::NopOut pdu;
  pdu.immediate = true;
  pdu.initiator_task_tag = 77;
  auto bytes = header_of(pdu);
  bytes[0] = std::byte{0x40 | 0x1c};
  fixture.initiator.send_raw(bytes);
  REQUIRE(fixture.reject_reason() == iscsi::RejectReason::command_not_supported);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("PDU-3 a Text Request with C and F and one with a made-up transfer tag are rejected", "[iscsi][PDU-3]") {
  Fixture fixture;
  iscsi::TextRequest pdu;
  pdu.immediate = true;
  pdu.initiator_task_tag = fixture.initiator.next_tag();
  pdu.cmd_sn = fixture.initiator.cmd_sn();
  pdu.exp_stat_sn = fixture.initiator.exp_stat_sn();
  const bool made_up_tag = GENERATE(true, false);
  pdu.final_bit = true;
  if (made_up_tag) {
    pdu.target_transfer_tag = 0x1234;
  } else {
    pdu.continues = true;
  }
  fixture.initiator.send(pdu, {});
  static_cast<void>(fixture.reject_reason());
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("TXT-2 an endless login is ended at the limit", "[iscsi][TXT-2]") {
  SimWorld world(9);
  SimTarget target(world);
  Initiator initiator(world, target.connect());
  iscsi::LoginRequest request;
  request.continues = true;
  request.current_stage = 1;
  request.next_stage = 1;
  std::size_t rounds = 0;
  for (; rounds < 200 && !initiator.is_closed(); ++rounds) {
    const std::string piece = "X-com.example.k" + std::to_string(rounds) + "=v";
    std::vector<std::byte> data(piece.size() + 1);
    std::memcpy(data.data(), piece.data(), piece.size());
    initiator.send(request, data);
    if (!initiator.receive(second_ns)) break;
  }
  REQUIRE(initiator.wait_closed(second_ns));
  REQUIRE(rounds < 40);
}

TEST_CASE("CON-1 a login is over after 15 seconds whatever it does", "[iscsi][CON-1]") {
  SimWorld world(9);
  SimTarget target(world);
  Initiator silent(world, target.connect());
  Initiator slow(world, target.connect());
  const std::uint64_t begin = world.now_ns();
  const std::array<std::byte, 1> one{std::byte{0x43}};
  for (int second = 0; second < 20; ++second) {
    slow.send_raw(one);
    world.run_for(second_ns);
  }
  REQUIRE(silent.wait_closed(second_ns));
  REQUIRE(slow.wait_closed(second_ns));
  REQUIRE(world.now_ns() - begin < 25 * second_ns);
}

TEST_CASE("CON-1 a PDU that does not get complete ends the connection", "[iscsi][CON-1]") {
  Fixture fixture;
  const std::array<std::byte, 1> one{std::byte{0x40}};
  for (int second = 0; second < 40; ++second) {
    fixture.initiator.send_raw(one);
    fixture.world.run_for(second_ns);
  }
  REQUIRE(fixture.initiator.wait_closed(second_ns));
  fixture.check_empty();
}

TEST_CASE("CON-1 a peer that never reads is closed and its memory comes back", "[iscsi][CON-1]") {
  SimLink link;
  link.window_bytes = 4096;
  Fixture fixture({}, link);
  for (std::uint32_t i = 0; i < 64; ++i) fixture.initiator.start_read(i, 512);
  fixture.world.run_for(5 * second_ns);
  REQUIRE(fixture.target.bytes_in_use() <= 12U << 20);
  fixture.check_alive();
  fixture.world.run_for(40 * second_ns);
  fixture.check_empty();
}

TEST_CASE("CON-1 data that was asked for and never comes ends the connection", "[iscsi][CON-1]") {
  Fixture fixture(no_immediate_data());
  fixture.initiator.ignore_r2ts();
  fixture.initiator.start_write(0, pattern(4096, 1));
  REQUIRE(fixture.initiator.wait_closed(40 * second_ns));
  fixture.check_empty();
}

TEST_CASE("CON-1 a silent peer is asked for a sign of life and closed without one", "[iscsi][CON-1][RFC7143-11.19]") {
  Fixture fixture;
  const auto ping = fixture.initiator.receive(20 * second_ns);
  REQUIRE(ping);
  const auto* nop_in = ping->as<iscsi::NopIn>();
  REQUIRE(nop_in != nullptr);
  REQUIRE(nop_in->target_transfer_tag != iscsi::reserved_tag);
  const bool answers = GENERATE(true, false);
  if (answers) {
    iscsi::NopOut pong;
    pong.immediate = true;
    pong.target_transfer_tag = nop_in->target_transfer_tag;
    pong.cmd_sn = fixture.initiator.cmd_sn();
    pong.exp_stat_sn = fixture.initiator.exp_stat_sn();
    fixture.initiator.send(pong);
    fixture.world.run_for(14 * second_ns);
    REQUIRE(fixture.initiator.read(0, 1).status == 0);
  } else {
    REQUIRE(fixture.initiator.wait_closed(20 * second_ns));
    fixture.check_empty();
  }
}

TEST_CASE("CON-2 one address cannot take every place of those that log in", "[iscsi][CON-2]") {
  SimWorld world(9);
  SimTargetOptions options;
  options.iscsi.connections.logins_per_address_max = 8;
  SimTarget target(world, options);
  std::vector<std::unique_ptr<SimPeer>> flood;
  for (int i = 0; i < 100; ++i)
    if (auto peer = target.connect({}, "192.0.2.66")) flood.push_back(std::move(peer));
  REQUIRE(flood.size() == 8);
  Initiator good(world, target.connect({}, "192.0.2.10"));
  REQUIRE(good.login()->status == iscsi::LoginStatus::success);
  // Their places come back with them.
  world.run_for(20 * second_ns);
  REQUIRE(target.connect({}, "192.0.2.66") != nullptr);
}

TEST_CASE("CON-2 sessions beyond the limit are refused for want of resources", "[iscsi][CON-2]") {
  SimWorld world(9);
  SimTargetOptions options;
  options.iscsi.sessions_max = 2;
  SimTarget target(world, options);
  std::vector<std::unique_ptr<Initiator>> all;
  for (std::uint64_t i = 0; i < 3; ++i) {
    all.push_back(std::make_unique<Initiator>(world, target.connect()));
    const auto login = all.back()->login(vandal(i));
    REQUIRE(login);
    REQUIRE(login->status == (i < 2 ? iscsi::LoginStatus::success : iscsi::LoginStatus::out_of_resources));
  }
}

TEST_CASE("SN-1 commands outside the window and duplicates are ignored", "[iscsi][SN-1][RFC7143-4.2.2.1]") {
  Fixture fixture;
  const auto next = fixture.initiator.cmd_sn();
  const auto wrong = GENERATE_COPY(next.minus(1), next.plus(4000), next.plus(0x80000000));
  fixture.initiator.set_cmd_sn(wrong);
  const std::uint32_t tag = fixture.initiator.start_read(0, 1);
  fixture.world.run_for(second_ns);
  fixture.initiator.poll();
  REQUIRE_FALSE(fixture.initiator.has_ended(tag));
  fixture.initiator.forget(tag);
  fixture.initiator.set_cmd_sn(next);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("SN-1 a command that comes before its turn waits for the one before it", "[iscsi][SN-1]") {
  Fixture fixture;
  const auto next = fixture.initiator.cmd_sn();
  fixture.initiator.set_cmd_sn(next.plus(1));
  const std::uint32_t second = fixture.initiator.start_read(8, 1);
  fixture.world.run_for(second_ns);
  fixture.initiator.poll();
  REQUIRE_FALSE(fixture.initiator.has_ended(second));
  fixture.initiator.set_cmd_sn(next);
  const std::uint32_t first = fixture.initiator.start_read(0, 1);
  fixture.initiator.set_cmd_sn(next.plus(2));
  REQUIRE(fixture.initiator.finish(first).status == 0);
  REQUIRE(fixture.initiator.finish(second).status == 0);
}

TEST_CASE("SN-1 CmdSN wraps", "[iscsi][SN-1]") {
  SimWorld world(9);
  SimTarget target(world);
  Initiator initiator(world, target.connect());
  initiator.set_cmd_sn(iscsi::SerialNumber(0xfffffff0));
  REQUIRE(initiator.login()->status == iscsi::LoginStatus::success);
  initiator.clear_unit_attentions();
  for (std::uint32_t i = 0; i < 40; ++i) REQUIRE(initiator.read(i, 1).status == 0);
}

TEST_CASE("SN-1 immediate commands are bounded", "[iscsi][SN-1][RFC7143-11.17.1]") {
  Fixture fixture;
  fixture.target.medium().hanging = true;
  for (int i = 0; i < 40; ++i) {
    iscsi::ScsiCommand pdu = fixture.initiator.command(read_10(0, 1));
    fixture.initiator.set_cmd_sn(fixture.initiator.cmd_sn().minus(1));
    pdu.cmd_sn = fixture.initiator.cmd_sn();
    pdu.immediate = true;
    pdu.read = true;
    pdu.expected_data_transfer_length = 512;
    fixture.initiator.start(pdu);
  }
  fixture.world.run_for(second_ns);
  fixture.initiator.poll();
  REQUIRE(fixture.initiator.inbox.size() == 40 - 16);
  for (const Incoming& incoming : fixture.initiator.inbox) {
    const auto* reject = incoming.as<iscsi::Reject>();
    REQUIRE(reject != nullptr);
    REQUIRE(reject->reason == iscsi::RejectReason::immediate_command_reject);
  }
  fixture.target.medium().hanging = false;
  fixture.world.run_for(second_ns);
  fixture.check_alive();
}

TEST_CASE("SN-1 the window closes when it is full of running commands and opens again", "[iscsi][SN-1]") {
  Fixture fixture;
  fixture.target.medium().hanging = true;
  std::vector<std::uint32_t> tags;
  while (!fixture.initiator.cmd_sn().is_after(fixture.initiator.max_cmd_sn()))
    tags.push_back(fixture.initiator.start_read(0, 1));
  REQUIRE(tags.size() <= 128);
  fixture.world.run_for(second_ns);
  fixture.target.medium().hanging = false;
  for (const std::uint32_t tag : tags) REQUIRE(fixture.initiator.finish(tag).status == 0);
  REQUIRE_FALSE(fixture.initiator.cmd_sn().is_after(fixture.initiator.max_cmd_sn()));
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("SN-4 a task tag in use is rejected and the reserved one as well", "[iscsi][SN-4]") {
  Fixture fixture;
  fixture.target.medium().delay_ns_max = 100'000'000;
  const std::uint32_t tag = fixture.initiator.start_read(0, 1);
  iscsi::ScsiCommand again = fixture.initiator.command(read_10(8, 1));
  again.initiator_task_tag = tag;
  again.read = true;
  again.expected_data_transfer_length = 512;
  fixture.initiator.send(again);
  REQUIRE(fixture.reject_reason() == iscsi::RejectReason::task_in_progress);
  iscsi::ScsiCommand reserved = fixture.initiator.command(read_10(8, 1));
  reserved.initiator_task_tag = iscsi::reserved_tag;
  reserved.read = true;
  reserved.expected_data_transfer_length = 512;
  fixture.initiator.send(reserved);
  static_cast<void>(fixture.reject_reason());
  REQUIRE(fixture.initiator.finish(tag).status == 0);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("a flood of pings that nobody reads is held back and bounded", "[iscsi][CON-1]") {
  SimLink link;
  link.window_bytes = 2048;
  Fixture fixture({}, link);
  for (int i = 0; i < 3000; ++i) {
    iscsi::NopOut ping;
    ping.immediate = true;
    ping.initiator_task_tag = 0x100000U + static_cast<std::uint32_t>(i);
    ping.cmd_sn = fixture.initiator.cmd_sn();
    ping.exp_stat_sn = fixture.initiator.exp_stat_sn();
    fixture.initiator.send(ping, pattern(1000, 1));
  }
  fixture.world.run_for(5 * second_ns);
  REQUIRE(fixture.target.bytes_in_use() <= 4U << 20);
  fixture.check_alive();
  // When it reads after all, every ping has its answer.
  fixture.world.run_until([&] { return fixture.initiator.poll() && fixture.initiator.inbox.size() == 3000; },
                          20 * second_ns);
  REQUIRE(fixture.initiator.inbox.size() == 3000);
}

TEST_CASE("a SNACK is rejected at ErrorRecoveryLevel 0", "[iscsi][RFC7143-11.16]") {
  Fixture fixture;
  iscsi::SnackRequest pdu;
  pdu.type = iscsi::SnackType::status;
  pdu.exp_stat_sn = fixture.initiator.exp_stat_sn();
  fixture.initiator.send(pdu);
  REQUIRE(fixture.reject_reason() == iscsi::RejectReason::snack_reject);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

}  // namespace
}  // namespace lunaris::sim
