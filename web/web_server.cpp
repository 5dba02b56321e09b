// Puts the parts together and tells API from dashboard.
#include "web/web_server.h"

#include <utility>

#include "web/assets.h"

namespace lunaris::web {

using runtime::Task;

/// Everything that HTTP can ask for.
class WebServer::Site final : public Handler {
 public:
  explicit Site(Api& api) : api_(api) {}

  Task<Response> handle(Request request) override {
    const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
    if (Api::is_path(path)) co_return co_await api_.handle(std::move(request));
    co_return asset_response(request, assets());
  }

 private:
  Api& api_;
};

WebServer::WebServer(Parts parts)
    : url_(std::move(parts.url)),
      pool_(1, "passwords"),
      access_(parts.management, pool_, parts.files, parts.state_folder + "/accounts.json"),
      sampler_(parts.management, parts.service),
      api_(parts.service, access_, sampler_),
      site_(std::make_unique<Site>(api_)),
      http_(parts.http) {}

WebServer::~WebServer() = default;

void WebServer::start() {
  sampler_.start();
  http_.start(*site_);
}

Task<> WebServer::stop() {
  sampler_.stop();
  co_await http_.stop();
}

std::string WebServer::url() const {
  return needs_setup() ? url_ + "#/setup?token=" + access_.setup_token() : url_;
}

}  // namespace lunaris::web
