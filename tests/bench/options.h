// What iscsi_load was asked to do. Filled once by parse_options, read by everything else in the tool.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lunaris::bench {

// One logical unit: iscsi://HOST:PORT/IQN/LUN.
struct Url {
  std::string host;
  std::uint16_t port = 3260;
  std::string target_name;
  std::uint16_t lun = 0;
};

// What is offered at login; the outcome is Parameters in login.h.
struct Offer {
  bool header_digest = false;
  bool data_digest = false;
  bool initial_r2t = false;
  bool immediate_data = true;
  std::uint32_t recv_segment_max_bytes = 262144;
  std::uint32_t max_burst_bytes = 1048576;
  std::uint32_t first_burst_bytes = 262144;
  std::uint32_t outstanding_r2t_max = 4;
};

// Where the data on the volume comes from.
enum class Verify : std::uint8_t {
  off,       // contents do not matter
  fill,      // stamp the region, check everything read, and stamp what is written
  existing,  // as fill, but an earlier --fill-only with the same seed has stamped the region
};

struct Options {
  std::vector<Url> urls;
  std::string initiator_name = "iqn.2026-01.io.lunaris.bench:load";
  Offer offer;
  unsigned sessions_per_url = 1;
  unsigned queue_depth = 32;
  std::uint64_t block_bytes = 4096;
  std::uint64_t region_bytes = 0;  // 0: the whole volume
  unsigned read_percent = 100;
  bool sequential = false;
  double warmup_s = 0.5;
  double duration_s = 5.0;
  double wait_port_s = 10.0;
  std::uint64_t seed = 1;
  Verify verify = Verify::off;
  bool fill_only = false;
  int cpu = -1;  // -1: not pinned
  bool json = false;
  int watch_pid = 0;             // 0: nobody
  std::string watch_alloc_file;  // the counter that alloc_count.cpp maps
};

// Parses the command line. Prints help or the mistake itself; returns false when the program should end with
// `exit_code`.
bool parse_options(int argc, char** argv, Options& options, int& exit_code);

// Parses one URL; throws std::invalid_argument with a sentence naming the mistake.
Url parse_url(const std::string& text);

}  // namespace lunaris::bench
