// What a run of iscsi_load found, and how it is printed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/histogram.h"
#include "tests/bench/options.h"
#include "tests/bench/session.h"
#include "tests/bench/watch.h"

namespace lunaris::bench {

struct Report {
  double seconds = 0;
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t ios_ever = 0;  // warm-up included; what a tracer attached for the whole run has seen
  Histogram latency;
  Troubles troubles;
  std::uint64_t checked = 0;
  std::uint64_t mismatches = 0;
  std::string first_mismatch;
  std::uint64_t client_cpu_ns = 0;
  std::vector<std::uint64_t> ios_of_session;
  Parameters parameters;  // of the first session
  WatchSample server;

  bool good() const { return troubles.errors == 0 && mismatches == 0; }
};

void print_line(const Report& report, const Options& options);
void print_json(const Report& report, const Options& options);

}  // namespace lunaris::bench
