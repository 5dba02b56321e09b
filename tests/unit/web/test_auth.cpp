// Passwords, accounts, logins, tokens, limits.
#include <catch2/catch.hpp>

#include "tests/unit/web/web_fixture.h"
#include "web/auth/password.h"

namespace lunaris::web::test {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

/// Shows what the test says.
class SetClock final : public runtime::Clock {
 public:
  explicit SetClock(const std::uint64_t& now_ns) : now_ns_(now_ns) {}
  [[nodiscard]] std::uint64_t now_ns() const noexcept override { return now_ns_; }

 private:
  const std::uint64_t& now_ns_;
};

}  // namespace

TEST_CASE("scrypt gives the key of the standard's third example", "[auth][RFC 7914 12]") {
  PasswordRecord record{.cost = 16384, .block_size = 8, .parallelism = 1, .salt = "SodiumChloride", .key = ""};
  record.key = from_hexadecimal("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
  CHECK(is_password(record, "pleaseletmein"));
  CHECK_FALSE(is_password(record, "pleaseletmeout"));
}

TEST_CASE("a record that nothing can be derived from fits no password", "[auth]") {
  PasswordRecord record{.cost = 3, .block_size = 8, .parallelism = 1, .salt = "0123456789abcdef", .key = ""};
  CHECK_FALSE(is_password(record, ""));
}

TEST_CASE("hexadecimal digits go round and nothing else is taken for them", "[auth]") {
  CHECK(hexadecimal(std::string("\x00\xff\x10", 3)) == "00ff10");
  CHECK(from_hexadecimal("00ff10") == std::string("\x00\xff\x10", 3));
  CHECK(from_hexadecimal("0").empty());
  CHECK(from_hexadecimal("0g").empty());
}

TEST_CASE("accounts are written and read back", "[auth]") {
  Accounts accounts;
  accounts.users["admin"] = {Role::admin, {.salt = "salt", .key = "key"}};
  accounts.tokens["t1"] = {"csi", Role::operate, sha256("secret"), 5, 9};
  std::string reason;
  CHECK(decode_accounts(encode_accounts(accounts), reason) == accounts);
}

TEST_CASE("a damaged accounts file is never taken for an empty one", "[auth]") {
  for (const char* text : {"", "{", "[]", R"({"users": {"a": {"role": "admin"}}})", R"({"user": {}})",
                           R"({"users": {}, "tokens": {"t": {"name": "x", "role": "root", "sha256": "00"}}})"}) {
    std::string reason;
    CAPTURE(text);
    CHECK_FALSE(decode_accounts(text, reason));
    CHECK_FALSE(reason.empty());
  }
  control::test::FakeDisk disk;
  disk.put("/s/accounts.json", "{}}");
  lunaris::test::SteppedWorker worker;
  runtime::BlockingPool pool(1);
  CHECK_THROWS_WITH(Authenticator(*worker, pool, disk, "/s/accounts.json"), Catch::Contains("damaged"));
}

TEST_CASE("the sixth attempt of a minute waits and those of others do not", "[auth]") {
  LoginLimit limit;
  const std::uint64_t start = 100 * second_ns;
  for (int i = 0; i < 5; ++i) CHECK_FALSE(limit.admit("a", "admin", start));
  CHECK(limit.admit("a", "admin", start + 10 * second_ns) == 51U);
  CHECK_FALSE(limit.admit("a", "other", start));
  CHECK_FALSE(limit.admit("b", "admin", start));
  CHECK_FALSE(limit.admit("a", "admin", start + 60 * second_ns));
}

TEST_CASE("an address that tries many names is stopped as well", "[auth]") {
  LoginLimit limit;
  for (unsigned i = 0; i < limits::login_attempts_per_address; ++i) {
    CHECK_FALSE(limit.admit("a", "user" + std::to_string(i), 1));
  }
  CHECK(limit.admit("a", "one more", 1));
}

TEST_CASE("the right password clears the user's attempts", "[auth]") {
  LoginLimit limit;
  for (int i = 0; i < 5; ++i) CHECK_FALSE(limit.admit("a", "admin", 1));
  limit.forget("a", "admin");
  CHECK_FALSE(limit.admit("a", "admin", 1));
}

TEST_CASE_METHOD(WebFixture, "before the setup nothing but the setup works", "[auth]") {
  CHECK(call("GET", "/api/v1/volumes").status == 401);
  CHECK(call("POST", "/api/v1/session", R"({"username": "admin", "password": ""})").status == 401);
  CHECK(call("POST", "/api/v1/setup", R"({"token": "", "username": "admin", "password": "long enough pw"})").status ==
        403);
  set_up();
  CHECK(call("GET", "/api/v1/volumes").status == 200);
  CHECK(access->setup_token().empty());
  CHECK(call("POST", "/api/v1/setup", R"({"token": "", "username": "admin", "password": "long enough pw"})").status ==
        410);
}

TEST_CASE("a login ends after twelve idle hours", "[auth]") {
  std::uint64_t now_ns = second_ns;
  lunaris::test::SteppedWorker worker(0, std::make_unique<SetClock>(now_ns));
  control::test::FakeDisk disk;
  REQUIRE(disk.make_folder("/s", 0700).has_value());
  runtime::BlockingPool pool(1);
  Authenticator access(*worker, pool, disk, "/s/accounts.json");
  const auto attempt = wait_for(worker, access.setup(access.setup_token(), "admin", "0123456789", "192.0.2.1"));
  REQUIRE(attempt.status == Authenticator::Attempt::Status::ok);
  Request request;
  request.headers["cookie"] = attempt.cookie.substr(0, attempt.cookie.find(';'));
  constexpr std::uint64_t hour_ns = 3600 * second_ns;
  for (const bool is_known : {true, true, false}) {
    now_ns += (is_known ? 11 : 12) * hour_ns;
    CHECK((access.identify(request).proof == Identity::Proof::login) == is_known);
  }
}

TEST_CASE_METHOD(WebFixture, "an account that could not be stored is not made", "[auth]") {
  disk.failing_step = disk.steps + 1;
  const std::string token = access->setup_token();
  const Response refused =
      call("POST", "/api/v1/setup", R"({"token": ")" + token + R"(", "username": "admin", "password": "0123456789"})");
  CHECK(refused.status == 507);
  CHECK(access->needs_setup());
  disk.failing_step = 0;
  set_up();
  restart_web();
  CHECK_FALSE(access->needs_setup());
}

TEST_CASE_METHOD(WebFixture, "the metrics are for this machine or for who has a token", "[auth]") {
  Request scrape = request("GET", "/metrics");
  CHECK(call(scrape).status == 401);
  scrape.is_loopback = true;
  CHECK(call(scrape).status == 200);
  scrape.headers["x-forwarded-for"] = "192.0.2.9";
  CHECK(call(scrape).status == 401);
  set_up();
  CHECK(call("GET", "/metrics").status == 200);
}

TEST_CASE_METHOD(WebFixture, "a cookie changes nothing unless a page of ours sent it", "[auth]") {
  set_up();
  Request drop = request("DELETE", "/api/v1/sessions/s-1");
  drop.headers["origin"] = "http://storage:8081";
  CHECK(call(drop).status == 403);
  drop = request("DELETE", "/api/v1/sessions/s-1");
  drop.headers.erase("x-requested-with");
  CHECK(call(drop).status == 403);
  CHECK(transport.dropped.empty());
  CHECK(call("DELETE", "/api/v1/sessions/s-1").status == 204);
  drop = request("DELETE", "/api/v1/sessions/s-1");
  drop.headers["origin"] = "https://storage:8080";  // a proxy with TLS is in between
  CHECK(call(drop).status == 204);
}

}  // namespace lunaris::web::test
