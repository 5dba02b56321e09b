// Few names and few values, so that two random documents share some objects and differ in others.
#include "tests/unit/config/random_document.h"

#include <cstdlib>
#include <string>

namespace lunaris::config::test {

namespace {

std::uint64_t below(std::mt19937_64& random, std::uint64_t end) {
  return random() % end;
}

Portal random_portal(std::mt19937_64& random) {
  Portal portal;
  portal.address = below(random, 2) == 0 ? "127.0.0.1" : "::1";
  portal.port = static_cast<std::uint16_t>(3260 + below(random, 3));
  portal.group_tag = static_cast<std::uint16_t>(1 + below(random, 2));
  portal.advertise = static_cast<Portal::Advertise>(below(random, 3));
  if (portal.advertise == Portal::Advertise::list) portal.advertised = {"host.example:3260,1"};
  return portal;
}

Volume random_volume(std::mt19937_64& random) {
  Volume volume;
  volume.size_bytes = 4096 * below(random, 4);
  volume.backend = {{"type", "memory"}};
  if (below(random, 2) == 0) volume.backend["option"] = below(random, 2);
  volume.block_bytes = below(random, 2) == 0 ? 512 : 4096;
  volume.read_only = below(random, 4) == 0;
  volume.removable = below(random, 4) == 0;
  if (below(random, 3) == 0) volume.uuid = Uuid{static_cast<std::uint8_t>(below(random, 3))};
  if (below(random, 3) == 0) volume.labels = {{"owner", std::to_string(below(random, 2))}};
  return volume;
}

ChapAccount random_account(std::mt19937_64& random) {
  return {"user" + std::to_string(below(random, 3)), Secret("a long secret " + std::to_string(below(random, 3)))};
}

Auth random_auth(std::mt19937_64& random) {
  Auth auth;
  for (std::uint64_t count = below(random, 3); count > 0; --count) auth.chap.push_back(random_account(random));
  if (below(random, 3) == 0) auth.mutual = random_account(random);
  if (below(random, 3) == 0) auth.chap_algorithms = {ChapAlgorithm::sha256, ChapAlgorithm::md5};
  return auth;
}

Initiator random_initiator(std::mt19937_64& random) {
  Initiator initiator;
  if (below(random, 2) == 0) initiator.name = "iqn.1994-05.com.redhat:node" + std::to_string(below(random, 2));
  if (below(random, 2) == 0 || initiator.name.empty()) initiator.addresses = {*parse_address_range("10.0.0.0/8")};
  if (below(random, 3) == 0) initiator.chap = random_account(random);
  if (below(random, 4) == 0) initiator.mutual = random_account(random);
  if (below(random, 3) == 0) initiator.luns.emplace()[1].read_only = below(random, 2) == 0;
  return initiator;
}

Target random_target(std::mt19937_64& random) {
  Target target;
  target.alias = below(random, 2) == 0 ? "" : "an alias";
  for (std::uint64_t count = below(random, 4); count > 0; --count) {
    target.luns[static_cast<std::uint16_t>(below(random, 4))] = {"v" + std::to_string(below(random, 4)),
                                                                 below(random, 2) == 0};
  }
  for (std::uint64_t count = below(random, 3); count > 0; --count)
    target.initiators.push_back(random_initiator(random));
  target.auth = random_auth(random);
  if (below(random, 2) == 0) target.portals = {"p0"};
  return target;
}

}  // namespace

std::uint64_t seed() {
  if (const char* given = std::getenv("LUNARIS_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  static const std::uint64_t drawn = std::random_device{}();
  return drawn;
}

Document random_document(std::mt19937_64& random) {
  Document document;
  document.server.workers.count = static_cast<std::uint32_t>(below(random, 3));
  if (below(random, 2) == 0) document.server.web = {"127.0.0.1:8080", below(random, 2) == 0};
  document.server.log.level = static_cast<LogLevel>(below(random, 5));
  document.server.shutdown_grace_ms = static_cast<std::uint32_t>(1000 * below(random, 3));
  document.discovery_auth = random_auth(random);
  for (std::uint64_t i = 0; i < 4; ++i) {
    if (below(random, 2) == 0) document.portals["p" + std::to_string(i)] = random_portal(random);
    if (below(random, 2) == 0) document.volumes["v" + std::to_string(i)] = random_volume(random);
    if (below(random, 2) == 0) document.targets["iqn.2026-01.io.lunaris:t" + std::to_string(i)] = random_target(random);
  }
  return document;
}

}  // namespace lunaris::config::test
