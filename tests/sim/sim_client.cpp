#include "tests/sim/sim_client.h"

#include <algorithm>
#include <cstring>

namespace lunaris::sim {
namespace {

constexpr std::uint8_t good = 0x00;
constexpr std::uint8_t check_condition = 0x02;
constexpr std::uint8_t busy = 0x08;
constexpr std::size_t commands_max = 24;
constexpr std::uint64_t lost_after_ns = 20'000'000'000;

}  // namespace

// ---- Oracle -------------------------------------------------------------------------------------------------------

std::vector<std::byte> Oracle::content(std::uint32_t block, std::uint32_t version) {
  if (version == 0) return std::vector<std::byte>(block_bytes);
  return pattern(block_bytes, block * 131071U + version);
}

void Oracle::written(std::uint32_t block, std::uint32_t count, std::uint32_t version) {
  for (std::uint32_t i = 0; i < count; ++i) possible_[block - first_ + i] = {version};
}

void Oracle::maybe_written(std::uint32_t block, std::uint32_t count, std::uint32_t version) {
  for (std::uint32_t i = 0; i < count; ++i) possible_[block - first_ + i].push_back(version);
}

void Oracle::check(std::uint32_t block, std::span<const std::byte> data) {
  for (std::uint32_t i = 0; i * block_bytes < data.size(); ++i) {
    const auto found = data.subspan(std::size_t{i} * block_bytes, block_bytes);
    auto& possible = possible_[block - first_ + i];
    const auto version = std::ranges::find_if(possible, [&](std::uint32_t candidate) {
      return std::memcmp(content(block + i, candidate).data(), found.data(), block_bytes) == 0;
    });
    INFO("block " << block + i << " holds what was never written there, or what should not be there any more");
    REQUIRE(version != possible.end());
    possible = {*version};
  }
}

// ---- SimClient ----------------------------------------------------------------------------------------------------

SimClient::SimClient(SimWorld& world, SimTarget& target, unsigned number, std::uint32_t first_block,
                     std::uint32_t blocks)
    : world_(world), target_(target), number_(number), oracle_(first_block, blocks) {
  options_.initiator = "iqn.2026-01.io.example:client" + std::to_string(number);
  options_.isid = 0x00023d000000 + number;
}

void SimClient::log_in() {
  // A reset that was on its way happens at the latest when the old session ends.
  const bool reset_on_its_way = !resetting_.empty();
  lose_everything();
  options_.initial_r2t = world_.one_in(2);
  options_.immediate_data = world_.one_in(2);
  options_.header_digest = world_.one_in(3);
  options_.data_digest = world_.one_in(3);
  options_.max_burst_length = std::uint32_t{4096} << world_.below(8);
  options_.first_burst_length =
      std::min<std::uint32_t>(options_.max_burst_length, std::uint32_t{4096} << world_.below(6));
  options_.max_recv_data_segment_length = std::uint32_t{1024} << world_.below(9);
  options_.max_outstanding_r2t = static_cast<std::uint32_t>(1 + world_.below(8));
  link_.delay_ns_max = world_.one_in(2) ? world_.below(2'000'000) : 0;
  link_.random_pieces = world_.one_in(2);
  // Slow or in small pieces; both together would take minutes for a few large commands, as a modem would.
  const std::size_t smallest = link_.delay_ns_max == 0 ? 1 : 8000;
  link_.piece_bytes_max = link_.random_pieces ? smallest + world_.below(60'000) : 1 << 20;
  link_.window_bytes = world_.one_in(4) ? 4096 + world_.below(60'000) : 1 << 20;
  for (int tries = 0; tries < 3; ++tries) {
    auto peer = target_.connect(link_, "192.0.2." + std::to_string(10 + number_));
    REQUIRE(peer != nullptr);
    initiator_ = std::make_unique<Initiator>(world_, std::move(peer));
    const auto login = initiator_->login(options_);
    REQUIRE(login);
    if (login->status != iscsi::LoginStatus::success) continue;
    if (reset_on_its_way)
      for (SimClient* each : *all_) each->unit_was_reset();
    return;
  }
  FAIL("no login");
}

bool SimClient::is_free(std::uint32_t block, std::uint32_t blocks) const {
  return std::ranges::none_of(pending_, [&](const auto& entry) {
    const Pending& pending = entry.second;
    return block < pending.block + pending.blocks && pending.block < block + blocks;
  });
}

void SimClient::start_command() {
  if (pending_.size() >= commands_max || initiator_->is_closed()) return;
  // What the window allows and no more (RFC 7143 4.2.2.1).
  if (initiator_->cmd_sn().is_after(initiator_->max_cmd_sn())) return;
  Pending pending;
  pending.blocks = static_cast<std::uint32_t>(1 + (world_.one_in(8) ? world_.below(600) : world_.below(24)));
  pending.block = oracle_.first_block() + static_cast<std::uint32_t>(world_.below(oracle_.blocks() - pending.blocks));
  if (!is_free(pending.block, pending.blocks)) return;
  pending.write = world_.one_in(2);
  pending.started_ns = world_.now_ns();
  std::uint32_t tag = 0;
  if (pending.write) {
    pending.version = next_version_++;
    std::vector<std::byte> data;
    for (std::uint32_t i = 0; i < pending.blocks; ++i) {
      const auto content = Oracle::content(pending.block + i, pending.version);
      data.insert(data.end(), content.begin(), content.end());
    }
    tag = initiator_->start_write(pending.block, std::move(data));
  } else {
    tag = initiator_->start_read(pending.block, static_cast<std::uint16_t>(pending.blocks));
  }
  pending_[tag] = pending;
}

void SimClient::abort_one() {
  if (pending_.empty() || initiator_->is_closed()) return;
  auto victim = pending_.begin();
  std::advance(victim, static_cast<std::ptrdiff_t>(world_.below(pending_.size())));
  iscsi::TaskManagementRequest pdu;
  pdu.immediate = true;
  pdu.function = static_cast<std::uint8_t>(iscsi::TaskManagementFunction::abort_task);
  pdu.initiator_task_tag = initiator_->next_tag();
  pdu.referenced_task_tag = victim->first;
  pdu.cmd_sn = pdu.ref_cmd_sn = initiator_->cmd_sn();
  pdu.exp_stat_sn = initiator_->exp_stat_sn();
  aborting_[pdu.initiator_task_tag] = victim->first;
  initiator_->send(pdu);
}

void SimClient::reset_unit() {
  if (initiator_->is_closed()) return;
  iscsi::TaskManagementRequest pdu;
  pdu.immediate = true;
  pdu.function = static_cast<std::uint8_t>(iscsi::TaskManagementFunction::logical_unit_reset);
  pdu.initiator_task_tag = initiator_->next_tag();
  pdu.cmd_sn = initiator_->cmd_sn();
  pdu.exp_stat_sn = initiator_->exp_stat_sn();
  resetting_.insert(pdu.initiator_task_tag);
  initiator_->send(pdu);
}

void SimClient::ping() {
  if (initiator_->is_closed()) return;
  iscsi::NopOut pdu;
  pdu.immediate = true;
  pdu.initiator_task_tag = initiator_->next_tag();
  pdu.cmd_sn = initiator_->cmd_sn();
  pdu.exp_stat_sn = initiator_->exp_stat_sn();
  auto data = pattern(1 + world_.below(900), pdu.initiator_task_tag);
  initiator_->send(pdu, data);
  pings_[pdu.initiator_task_tag] = std::move(data);
}

void SimClient::act() {
  switch (world_.below(100)) {
    case 0:
      // The same initiator again: its old session must end first.
      return log_in();
    case 1:
      initiator_->peer().reset();
      return log_in();
    case 2:
      initiator_->peer().finish();
      return log_in();
    case 3:
      initiator_->log_out();
      return log_in();
    case 4:
    case 5:
    case 6:
      return abort_one();
    case 7:
      if (world_.one_in(3)) reset_unit();
      return;
    case 8:
    case 9:
      return ping();
    default:
      return start_command();
  }
}

void SimClient::lose(std::uint32_t tag, const Pending& pending) {
  if (pending.write) oracle_.maybe_written(pending.block, pending.blocks, pending.version);
  initiator_->forget(tag);
}

void SimClient::lose_everything() {
  if (initiator_) {
    // What has been answered counts.
    for (const auto& [tag, pending] : pending_) lose(tag, pending);
  }
  pending_.clear();
  aborting_.clear();
  resetting_.clear();
  pings_.clear();
}

void SimClient::unit_was_reset() {
  for (auto& [tag, pending] : pending_) pending.may_be_lost = true;
}

void SimClient::end_command(std::uint32_t tag, const Pending& pending) {
  const CommandResult result = initiator_->take(tag);
  ++commands_done_;
  if (result.status == good) {
    if (pending.write) return oracle_.written(pending.block, pending.blocks, pending.version);
    REQUIRE(result.data.size() == std::size_t{pending.blocks} * block_bytes);
    return oracle_.check(pending.block, result.data);
  }
  // Not executed: memory was short, or a unit attention came first.
  if (result.status == busy) return;
  INFO("status " << unsigned{result.status});
  REQUIRE(result.status == check_condition);
  REQUIRE(result.sense.size() > 12);
  REQUIRE((result.sense[2] & std::byte{0xf}) == std::byte{6});
}

void SimClient::handle_inbox() {
  while (!initiator_->inbox.empty()) {
    const Incoming incoming = std::move(initiator_->inbox.front());
    initiator_->inbox.pop_front();
    if (const auto* answer = incoming.as<iscsi::TaskManagementResponse>()) {
      if (resetting_.erase(answer->initiator_task_tag) > 0) {
        REQUIRE(answer->response == iscsi::TaskManagementResponseCode::function_complete);
        continue;
      }
      const auto found = aborting_.find(answer->initiator_task_tag);
      REQUIRE(found != aborting_.end());
      const std::uint32_t task = found->second;
      aborting_.erase(found);
      const auto pending = pending_.find(task);
      if (pending == pending_.end() || initiator_->has_ended(task)) continue;
      // Complete: it has ended without an answer. Not there: only somebody's reset can have taken it.
      if (answer->response != iscsi::TaskManagementResponseCode::function_complete) {
        REQUIRE(answer->response == iscsi::TaskManagementResponseCode::task_does_not_exist);
        REQUIRE(pending->second.may_be_lost);
      }
      lose(task, pending->second);
      pending_.erase(pending);
    } else if (const auto* pong = incoming.as<iscsi::NopIn>()) {
      if (pong->initiator_task_tag == iscsi::reserved_tag) {
        iscsi::NopOut pdu;
        pdu.immediate = true;
        pdu.target_transfer_tag = pong->target_transfer_tag;
        pdu.lun = pong->lun;
        pdu.cmd_sn = initiator_->cmd_sn();
        pdu.exp_stat_sn = initiator_->exp_stat_sn();
        initiator_->send(pdu);
        continue;
      }
      const auto sent = pings_.find(pong->initiator_task_tag);
      REQUIRE(sent != pings_.end());
      REQUIRE(incoming.data == sent->second);
      pings_.erase(sent);
    } else if (incoming.as<iscsi::R2t>() != nullptr) {
      // For a task that was aborted while this was on its way.
    } else if (incoming.as<iscsi::DataIn>() != nullptr || incoming.as<iscsi::ScsiResponse>() != nullptr) {
      FAIL("an answer for a task that has ended");
    } else {
      REQUIRE(incoming.as<iscsi::LogoutResponse>() != nullptr);
    }
  }
}

void SimClient::poll() {
  initiator_->poll();
  // A unit reset somewhere may take everybody's commands with it, from the moment it is sent.
  if (!resetting_.empty())
    for (SimClient* each : *all_) each->unit_was_reset();
  for (auto entry = pending_.begin(); entry != pending_.end();) {
    const auto [tag, pending] = *entry;
    if (initiator_->has_ended(tag)) {
      entry = pending_.erase(entry);
      end_command(tag, pending);
    } else if (world_.now_ns() - pending.started_ns > lost_after_ns) {
      INFO("command " << tag << " was never answered");
      REQUIRE(pending.may_be_lost);
      lose(tag, pending);
      entry = pending_.erase(entry);
    } else {
      ++entry;
    }
  }
  handle_inbox();
}

void SimClient::finish() {
  const bool quiet = world_.run_until(
      [this] {
        for (SimClient* each : *all_)
          if (!each->finished_) each->poll();
        return pending_.empty() && aborting_.empty() && resetting_.empty() && pings_.empty();
      },
      60'000'000'000);
  REQUIRE(quiet);
  REQUIRE_FALSE(initiator_->is_closed());
  initiator_->log_out();
  REQUIRE(initiator_->wait_closed());
  finished_ = true;
}

}  // namespace lunaris::sim
