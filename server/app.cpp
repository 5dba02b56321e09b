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
#include "server/iscsi/iscsi_transport.h"
#include "server/limits.h"
#include "server/observe/log.h"
#include "server/runtime/asio_loop.h"
#include "server/runtime/startup_checks.h"
#include "server/runtime/topology.h"
#include "server/runtime/worker_group.h"

namespace lunaris {

using config::LogLevel;
using runtime::Task;

namespace {

observe::Logger& log = observe::logger("server");

/// What a data folder without state begins with.
config::Document first_document(const ServeOptions& options) {
  config::Document document;
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
void print_connecting(const config::Document& document) {
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
  std::cout << text << "\nctrl-C stops it.\n" << std::endl;
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
  return signals;
}

/// Members are in the order of dependence; destruction takes them down in reverse.
class App {
 public:
  /// Throws when something is missing; nothing runs yet but the workers.
  explicit App(const ServeOptions& options);

  int run();

 private:
  [[nodiscard]] control::State load_initial() const;
  [[nodiscard]] control::Service::Parts service_parts();
  void start_workers();
  void open_admin_socket();
  Task<> on_start();
  Task<> on_reload();
  Task<> on_stop();
  void wait_for_stop_signal();

  ServeOptions options_;
  sigset_t signals_ = block_signals();
  pthread_t main_thread_ = ::pthread_self();
  std::string data_folder_;
  mutable control::PosixFileOps files_;
  control::FolderLock lock_;
  mutable control::StateStore store_;
  control::State initial_;
  config::Server server_;
  observe::LogSystem log_system_;
  runtime::WorkerGroup workers_;
  std::unique_ptr<runtime::AsioLoop> made_loop_;  // until management_ has taken it
  runtime::AsioLoop& management_loop_;
  runtime::Worker management_;
  iscsi_server::IscsiTransport transport_;
  control::Service service_;
  control::AdminApi admin_api_;
  control::AdminServer admin_server_;
  std::atomic<bool> has_failed_{false};  // set before the stop that on_start asks for
};

App::App(const ServeOptions& options)
    : options_(options),
      data_folder_(absolute_folder(options.data_folder)),
      lock_(data_folder_),
      store_(files_, data_folder_ + "/state"),
      initial_(load_initial()),
      server_(effective_server(initial_.document.server, options)),
      log_system_(log_options(server_.log)),
      workers_(group_options(server_), runtime::read_topology()),
      made_loop_(std::make_unique<runtime::AsioLoop>(runtime::AsioLoop::Mode::management)),
      management_loop_(*made_loop_),
      management_(management_options(), std::move(made_loop_), std::make_unique<runtime::SystemClock>(),
                  std::make_unique<runtime::SystemRng>()),
      transport_(workers_, management_),
      service_(service_parts(), initial_),
      admin_api_(service_, [](LogLevel level) { observe::set_level(level_of(level)); }),
      admin_server_(management_, management_loop_.context(), admin_api_) {
  open_admin_socket();
  start_workers();
}

control::State App::load_initial() const {
  const control::StartSource source{files_, store_, {control::check_backend, data_folder_}, options_.config_file};
  runtime::SystemRng rng;
  return control::load_state(source, first_document(options_), rng);
}

control::Service::Parts App::service_parts() {
  return {.management = management_,
          .transport = transport_,
          .files = files_,
          .store = store_,
          .open_backend = backends::open_backend,
          .surroundings = {control::check_backend, data_folder_},
          .config_file = options_.config_file,
          .version = LUNARIS_VERSION,
          .server_changed = [this](const config::Server& server) {
            observe::set_level(level_of(effective_server(server, options_).log.level));
          }};
}

void App::start_workers() {
  const std::vector<std::string> problems = workers_.start();
  if (!problems.empty()) throw std::runtime_error("the workers cannot start:\n  " + joined(problems));
  for (const std::string& note : workers_.notes()) LUN_LOG_WARN(log, "start", "note", note);
}

void App::open_admin_socket() {
  const std::string& path = server_.management.socket;
  const bool is_default = path == config::Server::Management{}.socket;
  try {
    admin_server_.open(path);
  } catch (const std::exception&) {
    // Nobody asked for the usual place: one in the data folder does as well, and `ctl` looks there too.
    if (!is_default) throw;
    admin_server_.open(data_folder_ + "/admin.sock");
  }
  LUN_LOG_INFO(log, "management socket open", "path", admin_server_.path());
}

Task<> App::on_start() {
  const control::Outcome outcome = co_await service_.start();
  const std::size_t portals = service_.state().document.portals.size();
  const auto is_portal = [](const control::StepFailure& failure) { return failure.pointer == "/portals"; };
  const auto failed = static_cast<std::size_t>(std::ranges::count_if(outcome.failures, is_portal));
  if (portals != 0 && failed >= portals) {
    std::string reasons;
    for (const control::StepFailure& failure : outcome.failures) {
      if (is_portal(failure)) reasons += "\n  " + failure.reason;
    }
    std::fprintf(stderr, "lunaris: no portal can be opened, so no initiator could connect:%s\n", reasons.c_str());
    has_failed_ = true;
    ::pthread_kill(main_thread_, SIGTERM);
    co_return;
  }
  admin_server_.start();
  LUN_LOG_INFO(log, "ready", "version", LUNARIS_VERSION, "revision", outcome.revision, "workers", workers_.size(),
               "failures", outcome.failures.size());
  if (options_.demo) print_connecting(service_.state().document);
}

Task<> App::on_reload() {
  static_cast<void>(co_await service_.reload());
}

Task<> App::on_stop() {
  co_await service_.stop();
  co_await admin_server_.stop();
  workers_.stop_all();
  management_.stop();
}

void App::wait_for_stop_signal() {
  for (;;) {
    int signal = 0;
    if (::sigwait(&signals_, &signal) != 0) continue;
    if (signal != SIGHUP) return;
    management_.post([this] { return on_reload(); });
  }
}

int App::run() {
  std::thread management([this] { management_.run(); });
  management_.post([this] { return on_start(); });
  wait_for_stop_signal();
  LUN_LOG_INFO(log, "stopping");
  const Watchdog watchdog(limits::stop_time_max, workers_);
  management_.post([this] { return on_stop(); });
  management.join();
  workers_.join();
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
  App app(options);
  return app.run();
}

}  // namespace lunaris
