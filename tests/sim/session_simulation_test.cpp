// The first ring of the simulation: random initiators against the whole iSCSI target over a volume with an oracle.
// LUNARIS_SIM_SEED runs one seed, LUNARIS_SIM_RUNS that many from it on.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "server/runtime/assert.h"
#include "tests/sim/sim_client.h"

namespace lunaris::sim {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A connection that talks nonsense: before, instead of, or after a login.
void send_garbage(SimWorld& world, SimTarget& target) {
  auto peer = target.connect({}, "192.0.2.200");
  if (!peer) return;
  auto initiator = std::make_unique<Initiator>(world, std::move(peer));
  if (world.one_in(2)) {
    LoginOptions options;
    options.initiator = "iqn.2026-01.io.example:vandal";
    options.isid = world.below(4);
    const auto login = initiator->login(options);
    if (!login || login->status != iscsi::LoginStatus::success) return;
  }
  std::vector<std::byte> bytes(1 + world.below(400));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(world.below(256));
  // Small lengths now and then, so that the header is looked at rather than waited for.
  if (bytes.size() > 8 && world.one_in(2)) bytes[4] = bytes[5] = bytes[6] = std::byte{0};
  initiator->send_raw(bytes);
  if (world.one_in(2)) {
    initiator->peer().reset();
  } else {
    initiator->peer().finish();
  }
}

struct Trace {
  std::uint64_t events = 0;
  std::uint64_t commands = 0;
  std::uint64_t end_ns = 0;
  bool operator==(const Trace&) const = default;
};

Trace simulate(std::uint64_t seed) {
  const std::string context = "simulation seed " + std::to_string(seed);
  runtime::set_assert_context(context.c_str());
  INFO("repeat with LUNARIS_SIM_SEED=" << seed);
  SimWorld world(seed);
  SimTargetOptions options;
  options.workers = static_cast<unsigned>(1 + world.below(3));
  options.volume_bytes = std::size_t{4} << 20;
  options.buffer_bytes = std::size_t{world.one_in(4) ? 12U : 32U} << 20;
  Trace trace;
  {
    SimTarget target(world, options);
    target.medium().delay_ns_max = world.one_in(3) ? 0 : world.below(3'000'000);
    target.medium().uses_pool = world.one_in(2);
    const std::size_t count = 1 + world.below(4);
    std::vector<std::unique_ptr<SimClient>> clients;
    std::vector<SimClient*> all;
    for (unsigned i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<SimClient>(world, target, i, i * 2000, 2000));
      all.push_back(clients.back().get());
    }
    for (auto& client : clients) client->set_all(&all);
    for (auto& client : clients) client->log_in();
    const std::uint64_t actions = 150 + world.below(250);
    for (std::uint64_t i = 0; i < actions; ++i) {
      clients[world.below(clients.size())]->act();
      if (world.one_in(60)) send_garbage(world, target);
      const std::uint64_t until = world.now_ns() + world.below(400'000);
      world.run_until(
          [&] {
            for (auto& client : clients) client->poll();
            return world.now_ns() >= until;
          },
          400'000);
    }
    for (auto& client : clients) client->finish();
    world.run_for(40'000'000'000);  // the vandals time out
    CHECK(target.sessions().empty());
    CHECK(target.bytes_in_use() == 0);
    CHECK(target.medium().running == 0);
    for (auto& client : clients) {
      const std::size_t begin = std::size_t{client->oracle().first_block()} * block_bytes;
      client->oracle().check(
          client->oracle().first_block(),
          std::span(target.medium().bytes).subspan(begin, std::size_t{client->oracle().blocks()} * block_bytes));
      trace.commands += client->commands_done();
    }
  }
  trace.events = world.events();
  trace.end_ns = world.now_ns();
  runtime::set_assert_context("");
  return trace;
}

TEST_CASE("random initiators find their data whatever they and others do", "[sim]") {
  const std::uint64_t first = from_environment("LUNARIS_SIM_SEED", 1);
  const std::uint64_t runs = from_environment("LUNARIS_SIM_RUNS", std::getenv("LUNARIS_SIM_SEED") != nullptr ? 1 : 200);
  std::uint64_t commands = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) commands += simulate(seed).commands;
  REQUIRE(commands >= runs);
}

TEST_CASE("the same seed gives the same run", "[sim]") {
  for (std::uint64_t seed = 1000; seed < 1004; ++seed) REQUIRE(simulate(seed) == simulate(seed));
}

}  // namespace
}  // namespace lunaris::sim
