// Output of iscsi_load: one line for people, one JSON object for programs.
#include "tests/bench/report.h"

#include <cstdio>

namespace lunaris::bench {
namespace {

double us(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

struct Totals {
  std::uint64_t ios;
  double iops;
  double megabytes_per_s;
  std::uint64_t server_cpu_ns = 0;
  std::uint64_t voluntary = 0;
  std::uint64_t involuntary = 0;
  double per_io(std::uint64_t value) const {
    return ios == 0 ? 0.0 : static_cast<double>(value) / static_cast<double>(ios);
  }
};

Totals totals_of(const Report& r, const Options& o) {
  Totals t{.ios = r.reads + r.writes, .iops = 0, .megabytes_per_s = 0};
  if (r.seconds > 0) t.iops = static_cast<double>(t.ios) / r.seconds;
  t.megabytes_per_s = t.iops * static_cast<double>(o.block_bytes) / 1e6;
  for (const auto& [id, thread] : r.server.threads) {
    t.server_cpu_ns += thread.cpu_ns;
    t.voluntary += thread.voluntary_switches;
    t.involuntary += thread.involuntary_switches;
  }
  return t;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result + "\"";
}

using Count = unsigned long long;

void print_server_json(const Report& r, const Totals& t) {
  std::printf(
      ",\"server\":{\"cpu_us\":%.1f,\"cpu_us_per_io\":%.4f,\"voluntary_switches\":%llu,"
      "\"involuntary_switches\":%llu,\"allocations\":%llu,\"threads\":[",
      us(t.server_cpu_ns), t.per_io(t.server_cpu_ns) / 1e3, Count{t.voluntary}, Count{t.involuntary},
      Count{r.server.allocations});
  const char* comma = "";
  for (const auto& [id, thread] : r.server.threads) {
    std::printf("%s{\"id\":%d,\"name\":%s,\"cpu_us\":%.1f}", comma, id, quoted(thread.name).c_str(), us(thread.cpu_ns));
    comma = ",";
  }
  std::printf("]}");
}

}  // namespace

void print_line(const Report& r, const Options& o) {
  const Totals t = totals_of(r, o);
  if (o.fill_only) {
    std::printf("stamped %llu blocks of %llu bytes  errors %llu\n", Count{r.ios_ever}, Count{o.block_bytes},
                Count{r.troubles.errors});
    return;
  }
  std::printf("%.0f IOPS  %.1f MB/s  p50 %.1f us  p99 %.1f us  p99.9 %.1f us  p99.99 %.1f us  max %.1f us", t.iops,
              t.megabytes_per_s, us(r.latency.percentile_ns(0.5)), us(r.latency.percentile_ns(0.99)),
              us(r.latency.percentile_ns(0.999)), us(r.latency.percentile_ns(0.9999)), us(r.latency.max_ns()));
  if (o.watch_pid != 0) std::printf("  server %.2f us CPU/IO", t.per_io(t.server_cpu_ns) / 1e3);
  if (o.verify != Verify::off) std::printf("  checked %llu mismatches %llu", Count{r.checked}, Count{r.mismatches});
  std::printf("  errors %llu\n", Count{r.troubles.errors});
  if (r.troubles.busy + r.troubles.task_set_full + r.troubles.unit_attention != 0)
    std::printf("issued again: BUSY %llu, TASK SET FULL %llu, unit attention %llu\n", Count{r.troubles.busy},
                Count{r.troubles.task_set_full}, Count{r.troubles.unit_attention});
  if (!r.troubles.first_error.empty()) std::printf("first error: %s\n", r.troubles.first_error.c_str());
  if (!r.first_mismatch.empty()) std::printf("first mismatch: %s\n", r.first_mismatch.c_str());
}

void print_json(const Report& r, const Options& o) {
  const Totals t = totals_of(r, o);
  std::printf(
      "{\"seconds\":%.6f,\"ios\":%llu,\"reads\":%llu,\"writes\":%llu,\"ios_ever\":%llu,\"iops\":%.1f,"
      "\"megabytes_per_s\":%.3f",
      r.seconds, Count{t.ios}, Count{r.reads}, Count{r.writes}, Count{r.ios_ever}, t.iops, t.megabytes_per_s);
  std::printf(",\"latency_us\":{\"mean\":%.2f,\"p50\":%.2f,\"p99\":%.2f,\"p99_9\":%.2f,\"p99_99\":%.2f,\"max\":%.2f}",
              r.latency.mean_ns() / 1e3, us(r.latency.percentile_ns(0.5)), us(r.latency.percentile_ns(0.99)),
              us(r.latency.percentile_ns(0.999)), us(r.latency.percentile_ns(0.9999)), us(r.latency.max_ns()));
  std::printf(",\"errors\":%llu,\"first_error\":%s,\"busy\":%llu,\"task_set_full\":%llu,\"unit_attention\":%llu",
              Count{r.troubles.errors}, quoted(r.troubles.first_error).c_str(), Count{r.troubles.busy},
              Count{r.troubles.task_set_full}, Count{r.troubles.unit_attention});
  std::printf(",\"checked\":%llu,\"mismatches\":%llu,\"first_mismatch\":%s", Count{r.checked}, Count{r.mismatches},
              quoted(r.first_mismatch).c_str());
  std::printf(
      ",\"negotiated\":{\"header_digest\":%s,\"data_digest\":%s,\"initial_r2t\":%s,\"immediate_data\":%s,"
      "\"send_segment_max\":%u,\"recv_segment_max\":%u,\"max_burst\":%u,\"first_burst\":%u}",
      r.parameters.header_digest ? "true" : "false", r.parameters.data_digest ? "true" : "false",
      r.parameters.initial_r2t ? "true" : "false", r.parameters.immediate_data ? "true" : "false",
      r.parameters.send_segment_max_bytes, r.parameters.recv_segment_max_bytes, r.parameters.max_burst_bytes,
      r.parameters.first_burst_bytes);
  std::printf(",\"client_cpu_us_per_io\":%.4f,\"ios_of_session\":[", t.per_io(r.client_cpu_ns) / 1e3);
  const char* comma = "";
  for (const std::uint64_t ios : r.ios_of_session) {
    std::printf("%s%llu", comma, Count{ios});
    comma = ",";
  }
  std::printf("]");
  if (o.watch_pid != 0 || !o.watch_alloc_file.empty()) print_server_json(r, t);
  std::printf("}\n");
}

}  // namespace lunaris::bench
