// WebServer: HTTP server, API, access and dashboard as one thing for the application to own.
#pragma once

#include <memory>
#include <string>

#include "server/control/service.h"
#include "server/runtime/blocking_pool.h"
#include "web/api/api.h"
#include "web/auth/authenticator.h"
#include "web/http_server.h"
#include "web/sampler.h"

namespace lunaris::web {

/// Made before the management worker runs and destroyed after it has ended; between `start` and `stop` on that worker.
class WebServer {
 public:
  struct Parts {
    runtime::Worker& management;
    HttpServer& http;  // open
    control::Service& service;
    runtime::FileOps& files;
    std::string state_folder;  // where the accounts are kept
    std::string url;           // "http://127.0.0.1:8080/"
  };
  /// Throws std::runtime_error, with what to do, when the accounts cannot be read.
  explicit WebServer(Parts parts);
  ~WebServer();
  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;

  void start();
  runtime::Task<> stop();

  /// Parts::url, with the setup token when there is no user yet: whoever opens that becomes
  /// administrator.
  [[nodiscard]] std::string url() const;
  [[nodiscard]] bool needs_setup() const noexcept { return access_.needs_setup(); }

 private:
  class Site;

  std::string url_;
  runtime::BlockingPool pool_;
  Authenticator access_;
  Sampler sampler_;
  Api api_;
  std::unique_ptr<Site> site_;
  HttpServer& http_;
};

}  // namespace lunaris::web
