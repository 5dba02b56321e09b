// The counters in the text format of Prometheus. The names are a promise: see web/README.md.
#include <map>
#include <string>
#include <string_view>

#include "web/api/api.h"

namespace lunaris::web {

namespace {

/// A label's value: backslash, quote and line feed are escaped.
std::string quoted(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

struct Metric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
};

void head(std::string& out, const Metric& metric) {
  out += "# HELP " + std::string(metric.name) + " " + std::string(metric.help) + "\n# TYPE " +
         std::string(metric.name) + " " + std::string(metric.type) + "\n";
}

void line(std::string& out, std::string_view name, std::string_view label, std::string_view value,
          std::uint64_t number) {
  out += std::string(name) + "{" + std::string(label) + "=" + quoted(value) + "} " + std::to_string(number) + "\n";
}

using Totals = volume::Volume::Totals;
struct VolumeMetric {
  Metric metric;
  std::uint64_t Totals::* member;
};
constexpr VolumeMetric volume_metrics[] = {
    {{"lunaris_volume_read_bytes_total", "counter", "Bytes read from the volume."}, &Totals::read_bytes},
    {{"lunaris_volume_written_bytes_total", "counter", "Bytes written to the volume."}, &Totals::written_bytes},
    {{"lunaris_volume_reads_completed_total", "counter", "Reads completed."}, &Totals::reads},
    {{"lunaris_volume_writes_completed_total", "counter", "Writes completed."}, &Totals::writes},
    {{"lunaris_volume_flushes_completed_total", "counter", "Flushes completed."}, &Totals::flushes},
    {{"lunaris_volume_discards_completed_total", "counter", "Discards completed."}, &Totals::discards},
    {{"lunaris_volume_io_errors_total", "counter", "Commands that failed on the medium."}, &Totals::errors},
};

void write_volumes(std::string& out, const control::Service& service) {
  for (const VolumeMetric& row : volume_metrics) {
    head(out, row.metric);
    for (const auto& [name, live] : service.volumes()) {
      if (live.volume) line(out, row.metric.name, "volume", name, live.volume->totals().*row.member);
    }
  }
  head(out, {"lunaris_volume_size_bytes", "gauge", "Size that initiators see."});
  for (const auto& [name, live] : service.volumes()) {
    if (live.volume) line(out, "lunaris_volume_size_bytes", "volume", name, live.volume->view()->size_bytes);
  }
  head(out, {"lunaris_volume_allocated_bytes", "gauge", "Storage that the volume takes."});
  for (const auto& [name, live] : service.volumes()) {
    if (live.volume) line(out, "lunaris_volume_allocated_bytes", "volume", name, live.volume->allocated_bytes());
  }
  head(out, {"lunaris_volume_online", "gauge", "1 when the volume is open and healthy."});
  for (const auto& [name, live] : service.volumes()) {
    const bool is_online = live.volume && live.volume->view()->health == volume::Health::online;
    line(out, "lunaris_volume_online", "volume", name, is_online ? 1 : 0);
  }
}

}  // namespace

std::string metrics_text(const control::Service& service, const std::vector<SessionInfo>& sessions) {
  std::string out;
  head(out, {"lunaris_build_info", "gauge", "The version, as a label."});
  line(out, "lunaris_build_info", "version", service.version(), 1);
  head(out, {"lunaris_ready", "gauge", "1 while the server serves."});
  out += "lunaris_ready 1\n";
  head(out, {"lunaris_config_revision", "gauge", "Revision of the configuration in force."});
  out += "lunaris_config_revision " + std::to_string(service.state().revision) + "\n";
  write_volumes(out, service);
  std::map<std::string, std::uint64_t> counts;
  for (const auto& entry : service.state().document.targets) counts[entry.first] = 0;
  for (const SessionInfo& session : sessions) ++counts[session.target];
  head(out, {"lunaris_sessions", "gauge", "Sessions that are open."});
  for (const auto& [target, count] : counts) line(out, "lunaris_sessions", "target", target, count);
  return out;
}

}  // namespace lunaris::web
