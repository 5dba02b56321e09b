// A simulated target with one initiator that has logged in. For the tests of server/iscsi.
#pragma once

#include <catch2/catch.hpp>

#include "tests/sim/initiator.h"

namespace lunaris::sim {

inline constexpr std::uint8_t check_condition = 0x02;
inline constexpr std::uint64_t second_ns = 1'000'000'000;

struct Fixture {
  explicit Fixture(const LoginOptions& options = {}, SimLink link = {}, SimTargetOptions target_options = {})
      : target(world, target_options), initiator(world, target.connect(link)) {
    const auto login = initiator.login(options);
    REQUIRE(login);
    REQUIRE(login->status == iscsi::LoginStatus::success);
    if (!options.discovery) initiator.clear_unit_attentions();
  }
  [[nodiscard]] std::vector<std::byte> on_medium(std::uint32_t block, std::size_t bytes) {
    const auto begin = target.medium().bytes.begin() + static_cast<std::ptrdiff_t>(block) * block_bytes;
    return {begin, begin + static_cast<std::ptrdiff_t>(bytes)};
  }
  /// Another initiator's session, logged in.
  [[nodiscard]] std::unique_ptr<Initiator> another(const LoginOptions& options) {
    auto made = std::make_unique<Initiator>(world, target.connect());
    const auto login = made->login(options);
    REQUIRE(login);
    REQUIRE(login->status == iscsi::LoginStatus::success);
    return made;
  }
  /// No session and no buffer is left.
  void check_empty() {
    world.run_for(second_ns);
    REQUIRE(target.sessions().empty());
    REQUIRE(target.bytes_in_use() == 0);
  }
  void check_clean_logout() {
    initiator.log_out();
    REQUIRE(initiator.wait_closed());
    check_empty();
  }
  /// The target still serves others.
  void check_alive() {
    LoginOptions options;
    options.initiator = "iqn.2026-01.io.example:witness";
    options.isid = 0x00023d0000ff;
    const auto witness = another(options);
    witness->clear_unit_attentions();
    REQUIRE(witness->read(0, 8).status == 0);
    witness->log_out();
    REQUIRE(witness->wait_closed());
  }
  [[nodiscard]] iscsi::TaskManagementRequest task_management(iscsi::TaskManagementFunction function,
                                                             std::uint32_t referenced = iscsi::reserved_tag) {
    iscsi::TaskManagementRequest pdu;
    pdu.immediate = true;
    pdu.function = static_cast<std::uint8_t>(function);
    pdu.initiator_task_tag = initiator.next_tag();
    pdu.referenced_task_tag = referenced;
    pdu.cmd_sn = initiator.cmd_sn();
    pdu.ref_cmd_sn = initiator.cmd_sn();
    pdu.exp_stat_sn = initiator.exp_stat_sn();
    return pdu;
  }
  /// The next PDU must be a Task Management Response; its code.
  [[nodiscard]] iscsi::TaskManagementResponseCode task_management_answer(std::uint64_t limit_ns = 5 * second_ns) {
    const auto answer = initiator.receive(limit_ns);
    REQUIRE(answer);
    const auto* response = answer->as<iscsi::TaskManagementResponse>();
    REQUIRE(response != nullptr);
    return response->response;
  }
  [[nodiscard]] iscsi::RejectReason reject_reason() {
    const auto answer = initiator.receive();
    REQUIRE(answer);
    const auto* reject = answer->as<iscsi::Reject>();
    REQUIRE(reject != nullptr);
    return reject->reason;
  }

  SimWorld world{11};
  SimTarget target;
  Initiator initiator;
};

[[nodiscard]] inline LoginOptions no_immediate_data() {
  LoginOptions options;
  options.immediate_data = false;
  return options;
}

}  // namespace lunaris::sim
