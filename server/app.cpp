// Builds the server, runs it, takes it down. Threads: main waits for signals, management runs everything that is not
// the data path, the workers run that.
#include "server/app.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "server/config/values.h"
#include "server/control/admin_server.h"
#include "server/control/backend_table.h"
#include "server/control/folder_lock.h"
#include "server/iscsi/iscsi_transport.h"
#include "server/limits.h"
#include "server/observe/log.h"
#include "server/runtime/asio_loop.h"
#include "server/runtime/startup_checks.h"
#include "server/runtime/topology.h"
#include "server/runtime/worker_group.h"
#include "web/web_server.h"

namespace lunaris {

using config::LogLevel;
using runtime::Task;

namespace {

observe::Logger& log = observe::logger("server");

/// What a data folder without state begins with.
config::Document first_document(const ServeOptions& options) {
  config::Document document;
  document.server.web.listen = "127.0.0.1:8080";
  config::Portal& portal = document.portals["default"];
  if (!options.listen.empty()) {
    const auto address = config::parse_address(options.listen, portal.port);
    if (!address) {
      throw std::runtime_error("--listen " + options.listen +
                               " is no numeric address and port; write 127.0.0.1:3260 or [::1]:3260.");
    }
    portal.address = address->address;
    portal.port = address->port;
  }
  if (options.demo) {
    config::Volume& volume = document.volumes["demo"];
    volume.size_bytes = std::uint64_t{1} << 30;
    volume.backend = {{"type", "file"}, {"path", "demo.img"}};
    document.targets["iqn.2026-01.io.lunaris:demo"].luns[0].volume = "demo";
  }
  return document;
}

/// The document's settings with the flags laid over them.
config::Server effective_server(config::Server server, const ServeOptions& options) {
  if (options.workers) server.workers.count = *options.workers;
  if (options.socket) server.management.socket = *options.socket;
  if (options.web_listen) {
    const auto address = config::parse_address(*options.web_listen, config::web_port_default);
    server.web.listen = address ? config::address_text(address->address, address->port) : *options.web_listen;
    if (*options.web_listen == "none") server.web.listen.clear();
  }
  if (options.log_level) server.log.level = *options.log_level;
  if (options.log_format) server.log.format = *options.log_format;
  return server;
}

std::string absolute_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::filesystem::path path = std::filesystem::absolute(folder, error);
  return path.lexically_normal().string();
}

runtime::WorkerGroupOptions group_options(const config::Server& server) {
  runtime::WorkerGroupOptions options;
  options.count = server.workers.count;
  for (const std::uint32_t cpu : server.workers.cpus) options.cpus.push_back(static_cast<int>(cpu));
  options.buffers.bytes_max = server.buffers.bytes_per_worker;
  options.buffers.registered_bytes_max = server.buffers.bytes_per_worker;
  return options;
}

observe::Level level_of(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return observe::Level::trace;
    case LogLevel::debug:
      return observe::Level::debug;
    case LogLevel::info:
      return observe::Level::info;
    case LogLevel::warn:
      return observe::Level::warn;
    case LogLevel::error:
      return observe::Level::error;
  }
  return observe::Level::info;
}

observe::LogOptions log_options(const config::Server::Log& settings) {
  observe::LogOptions options;
  options.level = level_of(settings.level);
  options.format = settings.format == config::LogFormat::json ? observe::Format::json : observe::Format::text;
  return options;
}

runtime::WorkerOptions management_options() {
  runtime::WorkerOptions options;
  options.name = "management";
  options.buffers.bytes_max = limits::buffer_bytes_per_worker_min;  // it moves no data
  options.buffers.registered_bytes_max = 0;
  return options;
}

std::string joined(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += (text.empty() ? "" : "\n  ") + sentence;
  return text;
}

/// How to reach the targets, for somebody who has just started a demo.
void print_connecting(const config::Document& document, const std::string& dashboard) {
  if (!dashboard.empty()) std::cout << "\nThe dashboard: " << dashboard << "\n" << std::flush;
  if (document.portals.empty()) return;
  const config::Portal& portal = document.portals.begin()->second;
  const std::string address = config::address_text(portal.address, portal.port);
  std::string text = "\nLunaris is ready. To connect from this machine:\n\n  iscsiadm -m discovery -t sendtargets -p " +
                     address + "\n";
  for (const auto& [name, target] : document.targets) {
    text += "  iscsiadm -m node -T " + name + " -p " + address + " --login\n";
    if (!target.luns.empty()) {
      text += "  qemu-system-x86_64 -m 1G -drive if=virtio,format=raw,file=iscsi://" + address + "/" + name + "/" +
              std::to_string(target.luns.begin()->first) + "\n";
    }
  }
  std::cout << text << "\nctrl-C stops it.\n\n" << std::flush;
}

/// Ends the process when a stop takes too long: a supervisor would kill it a moment later, and say less.
class Watchdog {
 public:
  Watchdog(std::chrono::milliseconds time, const runtime::WorkerGroup& group)
      : thread_([this, time, &group](const std::stop_token& ended) { watch(ended, time, group); }) {}

 private:
  void watch(const std::stop_token& ended, std::chrono::milliseconds time, const runtime::WorkerGroup& group) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, ended, time, [] { return false; });
    if (ended.stop_requested()) return;
    std::fprintf(stderr, "lunaris: the stop did not finish in time; what was pending:\n%s",
                 group.describe_pending().c_str());
    ::_exit(1);
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: it uses the others, and its destructor ends the wait
};

/// The signals that the main thread waits for; blocked in every thread that is made afterwards.
sigset_t block_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a client that hangs up is an error value, not the end
  ::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is a write error of one volume, not the end
  return signals;
}

/// What the server stands on: folder, state, log, threads. Its construction is all that can fail at a start.
class Foundation {
 public:
  /// Throws with what to do. Afterwards the workers run, the management worker does not yet.
  explicit Foundation(const ServeOptions& options);

  const ServeOptions options;
  const sigset_t signals = block_signals();  // before the first thread
  const std::string data_folder;
  runtime::SystemFileOps files;
  control::FolderLock lock;
  control::StateStore store;
  const control::State initial;
  const config::Server server;
  observe::LogSystem log_system;
  runtime::WorkerGroup workers;

 private:
  std::unique_ptr<runtime::AsioLoop> made_loop_;  // until `management` has taken it

 public:
  runtime::AsioLoop& management_loop;
  runtime::Worker management;
  control::AdminServer admin_server;
  web::HttpServer http_server;

 private:
  [[nodiscard]] control::State load_initial();
  void open_admin_socket();
  /// An address that nobody named on the command line may be taken: initiators matter more than the dashboard.
  void open_web();
};

Foundation::Foundation(const ServeOptions& given)
    : options(given),
      data_folder(absolute_folder(given.data_folder)),
      lock(data_folder),
      store(files, data_folder + "/state"),
      initial(load_initial()),
      server(effective_server(initial.document.server, given)),
      log_system(log_options(server.log)),
      workers(group_options(server), runtime::read_topology()),
      made_loop_(std::make_unique<runtime::AsioLoop>(runtime::AsioLoop::Mode::management)),
      management_loop(*made_loop_),
      management(management_options(), std::move(made_loop_), std::make_unique<runtime::SystemClock>(),
                 std::make_unique<runtime::SystemRng>()),
      admin_server(management, management_loop.context()),
      http_server(management, management_loop.context()) {
  open_admin_socket();
  open_web();
  const std::vector<std::string> problems = workers.start();
  if (!problems.empty()) throw std::runtime_error("the workers cannot start:\n  " + joined(problems));
  for (const std::string& note : workers.notes()) LUN_LOG_INFO(log, "start", "note", note);
}

control::State Foundation::load_initial() {
  const control::StartSource source{files, store, {control::check_backend, data_folder}, options.config_file};
  runtime::SystemRng rng;
  return control::load_state(source, first_document(options), rng);
}

void Foundation::open_admin_socket() {
  const std::string& path = server.management.socket;
  const bool is_default = path == config::Server::Management{}.socket;
  try {
    admin_server.open(path);
  } catch (const std::exception&) {
    // Nobody asked for the usual place: one in the data folder does as well, and `ctl` looks there too.
    if (!is_default) throw;
    admin_server.open(data_folder + "/admin.sock");
  }
  LUN_LOG_INFO(log, "management socket open", "path", admin_server.path());
}

void Foundation::open_web() {
  const config::Server::Web& settings = server.web;
  if (settings.listen.empty()) return;
  const std::string fault = config::web_listen_fault(settings.listen, settings.insecure_http || options.insecure_http);
  if (!fault.empty()) throw std::runtime_error("--web-listen " + settings.listen + ": " + fault);
  const auto address = config::parse_address(settings.listen, config::web_port_default);
  try {
    http_server.open(address->address, address->port);
  } catch (const std::exception& error) {
    if (options.web_listen) throw;
    LUN_LOG_ERROR(log, "no dashboard", "reason", error.what());
  }
}

std::vector<runtime::Worker*> all_of(runtime::WorkerGroup& group) {
  std::vector<runtime::Worker*> workers;
  for (std::size_t i = 0; i < group.size(); ++i) workers.push_back(&group[i]);
  return workers;
}

/// Members are in the order of dependence; destruction takes them down in reverse.
class App {
 public:
  explicit App(Foundation& base)
      : base_(base),
        transport_(base.management, all_of(base.workers)),
        service_(service_parts(), base.initial),
        web_(make_web()),
        admin_api_(service_, [](LogLevel level) { observe::set_level(level_of(level)); }) {}

  /// Until a signal ends it; the exit code.
  int run();

 private:
  [[nodiscard]] control::Service::Parts service_parts();
  /// Null when there is no open address, or no way to know who has access.
  [[nodiscard]] std::unique_ptr<web::WebServer> make_web();
  void start_web();
  Task<> on_start();
  Task<> on_reload();
  Task<> on_stop();
  void fail_start(const std::vector<control::StepFailure>& failures);
  void wait_for_stop_signal();

  Foundation& base_;
  iscsi_server::IscsiTransport transport_;
  control::Service service_;
  std::unique_ptr<web::WebServer> web_;
  control::AdminApi admin_api_;
  std::atomic<bool> has_failed_{false};  // set before the stop that on_start asks for
};

control::Service::Parts App::service_parts() {
  return {.management = base_.management,
          .transport = transport_,
          .files = base_.files,
          .store = base_.store,
          .open_backend = backends::open_backend,
          .surroundings = {control::check_backend, base_.data_folder},
          .config_file = base_.options.config_file,
          .version = LUNARIS_VERSION,
          .server_changed = [this](const config::Server& server) {
            observe::set_level(level_of(effective_server(server, base_.options).log.level));
          }};
}

std::unique_ptr<web::WebServer> App::make_web() {
  if (!base_.http_server.is_open()) return nullptr;
  try {
    return std::make_unique<web::WebServer>(web::WebServer::Parts{.management = base_.management,
                                                                  .http = base_.http_server,
                                                                  .service = service_,
                                                                  .files = base_.files,
                                                                  .state_folder = base_.store.folder(),
                                                                  .url = "http://" + base_.server.web.listen + "/"});
  } catch (const std::exception& error) {
    LUN_LOG_ERROR(log, "no dashboard", "reason", error.what());  // initiators matter more
    return nullptr;
  }
}

void App::start_web() {
  if (!web_) return;
  web_->start();
  if (web_->needs_setup()) {
    LUN_LOG_INFO(log, "nobody has access to the dashboard yet: open this address to set it up", "url", web_->url());
  } else {
    LUN_LOG_INFO(log, "dashboard open", "url", web_->url());
  }
}

bool is_portal_failure(const control::StepFailure& failure) {
  return failure.pointer == "/portals";
}

Task<> App::on_start() {
  const control::Outcome outcome = co_await service_.start();
  const std::size_t portals = service_.state().document.portals.size();
  const auto failed = static_cast<std::size_t>(std::ranges::count_if(outcome.failures, is_portal_failure));
  if (portals != 0 && failed >= portals) {
    fail_start(outcome.failures);
    co_return;
  }
  base_.admin_server.start(admin_api_);
  LUN_LOG_INFO(log, "ready", "version", LUNARIS_VERSION, "revision", outcome.revision, "workers", base_.workers.size(),
               "failures", outcome.failures.size());
  start_web();
  if (base_.options.demo) print_connecting(service_.state().document, web_ ? web_->url() : "");
}

void App::fail_start(const std::vector<control::StepFailure>& failures) {
  std::string reasons;
  for (const control::StepFailure& failure : failures) {
    if (is_portal_failure(failure)) reasons += "\n  " + failure.reason;
  }
  std::fprintf(stderr, "lunaris: no portal can be opened, so no initiator could connect:%s\n", reasons.c_str());
  has_failed_ = true;
  ::kill(::getpid(), SIGTERM);  // main waits for it
}

Task<> App::on_reload() {
  static_cast<void>(co_await service_.reload());
}

Task<> App::on_stop() {
  if (web_) co_await web_->stop();
  co_await service_.stop();
  co_await base_.admin_server.stop();
  base_.workers.stop_all();
  base_.management.stop();
}

void App::wait_for_stop_signal() {
  for (;;) {
    int signal = 0;
    if (::sigwait(&base_.signals, &signal) != 0) continue;
    if (signal != SIGHUP) return;
    base_.management.post([this] { return on_reload(); });
  }
}

int App::run() {
  std::thread management([this] { base_.management.run(); });
  base_.management.post([this] { return on_start(); });
  wait_for_stop_signal();
  LUN_LOG_INFO(log, "stopping");
  const Watchdog watchdog(limits::stop_time_max, base_.workers);
  base_.management.post([this] { return on_stop(); });
  management.join();
  base_.workers.join();
  LUN_LOG_INFO(log, "stopped");
  return has_failed_ ? 1 : 0;
}

/// What the kernel and the container allow; throws when the server cannot run at all.
void check_machine() {
  const runtime::StartupReport report = runtime::check_startup();
  if (!report.ring_available) throw std::runtime_error(report.ring_problem);
  for (const std::string& warning : report.warnings) LUN_LOG_WARN(log, "start", "warning", warning);
}

}  // namespace

int serve(const ServeOptions& options) {
  check_machine();
  Foundation foundation(options);
  App app(foundation);
  return app.run();
}

}  // namespace lunaris
