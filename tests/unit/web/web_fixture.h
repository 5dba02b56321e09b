// The API on a stepped worker, with a disk in memory and a transport that only records.
#pragma once

#include <boost/json/parse.hpp>
#include <memory>
#include <string>
#include <thread>

#include "server/runtime/blocking_pool.h"
#include "tests/unit/control/service_fixture.h"
#include "web/api/api.h"
#include "web/limits.h"

namespace lunaris::web::test {

/// Runs `task` to its end; a pool's thread answers by mail meanwhile.
template <class T>
T wait_for(lunaris::test::SteppedWorker& worker, runtime::Task<T> task) {
  struct Keeper {
    static runtime::Task<> keep(runtime::Task<T> task, std::optional<T>& out) { out.emplace(co_await std::move(task)); }
  };
  std::optional<T> result;
  worker.start(Keeper::keep(std::move(task), result));
  while (!result) {
    lunaris::test::settle({&worker});
    std::this_thread::yield();
  }
  return std::move(*result);
}

class WebFixture : public control::test::Fixture {
 public:
  static constexpr const char* password = "a long enough password";

  WebFixture() {
    start(control::test::two_volumes());
    restart_web();
  }
  ~WebFixture() { api.reset(); }

  /// As a new process on the same disk would.
  void restart_web() {
    api.reset();
    sampler.reset();
    access = std::make_unique<Authenticator>(*management, pool, disk, "/s/accounts.json");
    sampler = std::make_unique<Sampler>(*management, *service);
    api = std::make_unique<Api>(*service, *access, *sampler);
  }

  template <class T>
  T wait(runtime::Task<T> task) {
    return wait_for(management, std::move(task));
  }
  Response call(Request request) { return wait(api->handle(std::move(request))); }
  Response call(const std::string& method, const std::string& target, const std::string& body = "") {
    return call(request(method, target, body));
  }
  /// With the fixture's login, as a page of ours would send it.
  Request request(const std::string& method, const std::string& target, const std::string& body = "") {
    Request out;
    out.method = method;
    out.target = target;
    out.body = body;
    out.peer = "192.0.2.1";
    out.id = "r1";
    out.headers = {{"host", "storage:8080"},
                   {"origin", "http://storage:8080"},
                   {"x-requested-with", "test"},
                   {"content-type", "application/json"}};
    if (!cookie.empty()) out.headers["cookie"] = "other=1; " + cookie;
    return out;
  }
  void set_up() {
    const Response response =
        call("POST", "/api/v1/setup",
             R"({"token": ")" + access->setup_token() + R"(", "username": "admin", "password": ")" + password + "\"}");
    REQUIRE(response.status == 204);
    cookie = header(response, "Set-Cookie");
    cookie = cookie.substr(0, cookie.find(';'));
  }
  static std::string header(const Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  runtime::BlockingPool pool{1};
  std::unique_ptr<Authenticator> access;
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Api> api;
  std::string cookie;
};

}  // namespace lunaris::web::test
