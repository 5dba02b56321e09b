// The command line of iscsi_load.
#include "tests/bench/options.h"

#include <CLI/CLI.hpp>
#include <limits>
#include <stdexcept>

namespace lunaris::bench {

Url parse_url(const std::string& text) {
  const std::string scheme = "iscsi://";
  if (!text.starts_with(scheme)) throw std::invalid_argument("a URL starts with iscsi://: " + text);
  const std::size_t name_at = text.find('/', scheme.size());
  const std::size_t lun_at = text.rfind('/');
  if (name_at == std::string::npos || lun_at == name_at)
    throw std::invalid_argument("a URL is iscsi://HOST:PORT/TARGET/LUN: " + text);
  Url url;
  const std::string address = text.substr(scheme.size(), name_at - scheme.size());
  const std::size_t bracket = address.find(']');  // of an IPv6 address, which has colons of its own
  const std::size_t colon = address.find(':', bracket == std::string::npos ? 0 : bracket);
  url.host = address.substr(0, colon);
  if (bracket != std::string::npos) url.host = address.substr(1, bracket - 1);
  const auto number = [&](const std::string& digits) -> std::uint16_t {
    std::size_t used = 0;
    unsigned long value = std::numeric_limits<unsigned long>::max();
    try {
      value = std::stoul(digits, &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used == 0 || used != digits.size() || value > 65535) throw std::invalid_argument("bad number in " + text);
    return static_cast<std::uint16_t>(value);
  };
  if (colon != std::string::npos) url.port = number(address.substr(colon + 1));
  url.target_name = text.substr(name_at + 1, lun_at - name_at - 1);
  url.lun = number(text.substr(lun_at + 1));
  return url;
}

namespace {

void add_workload_options(CLI::App& app, Options& o) {
  app.add_option("-s,--sessions", o.sessions_per_url, "sessions per URL")->check(CLI::Range(1, 1024));
  app.add_option("-q,--queue-depth", o.queue_depth, "commands in flight per session")->check(CLI::Range(1, 4096));
  app.add_option("-b,--block-size", o.block_bytes, "bytes per command, for instance 4k")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--region", o.region_bytes, "use only the first so many bytes of each volume")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("-r,--read-percent", o.read_percent, "100 reads only, 0 writes only")->check(CLI::Range(0, 100));
  app.add_flag("--sequential", o.sequential, "each session walks its own part of the region; default random");
  app.add_option("--warmup", o.warmup_s, "seconds before counting starts");
  app.add_option("-d,--duration", o.duration_s, "seconds to count");
  app.add_option("--seed", o.seed, "seed of offsets, mix and pattern");
}

void add_session_options(CLI::App& app, Options& o) {
  app.add_option("--initiator", o.initiator_name, "InitiatorName");
  app.add_flag("--header-digest", o.offer.header_digest, "offer HeaderDigest=CRC32C only");
  app.add_flag("--data-digest", o.offer.data_digest, "offer DataDigest=CRC32C only");
  app.add_flag("--initial-r2t", o.offer.initial_r2t, "offer InitialR2T=Yes; default No");
  app.add_flag("!--no-immediate-data", o.offer.immediate_data, "offer ImmediateData=No; default Yes");
  app.add_option("--max-recv", o.offer.recv_segment_max_bytes, "our MaxRecvDataSegmentLength")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--max-burst", o.offer.max_burst_bytes, "MaxBurstLength")->transform(CLI::AsSizeValue(false));
  app.add_option("--first-burst", o.offer.first_burst_bytes, "FirstBurstLength")->transform(CLI::AsSizeValue(false));
  app.add_option("--outstanding-r2t", o.offer.outstanding_r2t_max, "MaxOutstandingR2T")->check(CLI::Range(1, 65535));
  app.add_option("--wait-port", o.wait_port_s, "seconds to keep trying to connect");
}

}  // namespace

bool parse_options(int argc, char** argv, Options& o, int& exit_code) {
  CLI::App app{"iSCSI load generator: one thread, batched sends, one large receive, no allocation per I/O"};
  std::vector<std::string> urls;
  bool verify = false;
  bool existing = false;
  app.add_option("url", urls, "iscsi://HOST:PORT/TARGET/LUN, one or more")->required();
  add_workload_options(app, o);
  add_session_options(app, o);
  app.add_flag("--verify", verify, "stamp the region first, then check every block read and stamp every block written");
  app.add_flag("--verify-existing", existing, "as --verify for a region that --fill-only stamped with the same seed");
  app.add_flag("--fill-only", o.fill_only, "stamp the region and end");
  app.add_option("--cpu", o.cpu, "pin to this CPU");
  app.add_flag("--json", o.json, "print one JSON object instead of a line");
  app.add_option("--watch-pid", o.watch_pid, "report this process's CPU time and context switches per thread");
  app.add_option("--watch-alloc", o.watch_alloc_file, "report the counter in this file (liballoc_count.so)");
  try {
    app.parse(argc, argv);
    for (const std::string& text : urls) o.urls.push_back(parse_url(text));
    if (o.block_bytes == 0 || o.block_bytes % 512 != 0 || o.block_bytes > (16U << 20))
      throw std::invalid_argument("--block-size is a multiple of 512 up to 16 MiB");
    if (o.offer.recv_segment_max_bytes < 512 || o.offer.recv_segment_max_bytes > 0xffffff)
      throw std::invalid_argument("--max-recv is 512 to 16777215");
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error);
    return false;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "iscsi_load: %s\n", error.what());
    exit_code = 2;
    return false;
  }
  if (verify || o.fill_only) o.verify = Verify::fill;
  if (existing) o.verify = Verify::existing;
  return true;
}

}  // namespace lunaris::bench
