// Login, reads, writes and logout of one session, as an initiator sees them.
#include <catch2/catch.hpp>

#include "tests/sim/initiator.h"

namespace lunaris::sim {
namespace {

TEST_CASE("an initiator logs in and reads what is on the volume", "[iscsi][RFC7143-6.3]") {
  SimWorld world(1);
  SimTarget target(world);
  const auto content = pattern(4096, 7);
  std::copy(content.begin(), content.end(), target.medium().bytes.begin() + 16 * block_bytes);

  Initiator initiator(world, target.connect());
  const auto login = initiator.login();
  REQUIRE(login);
  REQUIRE(login->status == iscsi::LoginStatus::success);
  initiator.clear_unit_attentions();
  const CommandResult read = initiator.read(16, 8);
  REQUIRE(read.ended);
  REQUIRE(read.status == 0);
  REQUIRE(read.data == content);
}

}  // namespace
}  // namespace lunaris::sim
