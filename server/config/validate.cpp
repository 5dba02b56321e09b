// The checks that need more than one place of the document to see.
#include "server/config/validate.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "server/config/validate_access.h"
#include "server/config/values.h"
#include "server/limits.h"

namespace lunaris::config {

namespace {

std::string in_quotes(std::string_view name) {
  return "\"" + std::string(name) + "\"";
}

std::string pointer(std::string_view section, std::string_view name, std::string_view member = "") {
  const std::string object = below(below("", section), name);
  return member.empty() ? object : below(object, member);
}

/// "there is no volume "x"", with the one that was probably meant.
template <class Map>
std::string unknown(std::string_view what, const std::string& name, const Map& known) {
  std::vector<std::string_view> names;
  for (const auto& entry : known) names.push_back(entry.first);
  const std::string_view meant = closest_name(name, names);
  return "there is no " + std::string(what) + " " + in_quotes(name) +
         (meant.empty() ? "." : "; did you mean " + in_quotes(meant) + "?");
}

void check_server(const Server& server, Problems& problems) {
  const auto& [count, cpus] = server.workers;
  if (!cpus.empty() && count > cpus.size()) {
    problems.push_back({"/server/workers/count", std::to_string(count) + " workers cannot be pinned to " +
                                                     std::to_string(cpus.size()) +
                                                     " CPUs one by one; lower count or name more cpus."});
  }
  std::set<std::uint32_t> seen;
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    if (!seen.insert(cpus[i]).second) {
      problems.push_back(
          {below("/server/workers/cpus", std::to_string(i)), "CPU " + std::to_string(cpus[i]) + " is listed twice."});
    }
  }
  if (!server.management.socket.starts_with('/')) {
    problems.push_back(
        {"/server/management/socket", "must be an absolute path: it would depend on where lunaris is started."});
  }
}

bool is_wildcard(const std::string& address) noexcept {
  return address == "0.0.0.0" || address == "::";
}
bool is_ipv6(const std::string& address) noexcept {
  return address.find(':') != std::string::npos;
}

/// Whether the kernel would refuse to open the second after the first.
bool collide(const Portal& left, const Portal& right) noexcept {
  if (left.port != right.port || is_ipv6(left.address) != is_ipv6(right.address)) return false;
  return left.address == right.address || is_wildcard(left.address) || is_wildcard(right.address);
}

void check_portals(const Document& document, Problems& problems) {
  for (auto left = document.portals.begin(); left != document.portals.end(); ++left) {
    for (auto right = std::next(left); right != document.portals.end(); ++right) {
      if (!collide(left->second, right->second)) continue;
      problems.push_back({pointer("portals", right->first, "listen"),
                          address_text(right->second.address, right->second.port) + " is taken by portal " +
                              in_quotes(left->first) + " (" + address_text(left->second.address, left->second.port) +
                              ")."});
    }
  }
  if (document.portals.empty() && !document.targets.empty()) {
    problems.push_back({"/portals", "no portal is configured: no initiator can reach the targets.", Severity::warning});
  }
}

/// The file behind a volume, in a form in which equal files compare equal; empty when there is none.
std::string file_of(const Volume& volume, const std::string& data_folder) {
  const boost::json::value* type = volume.backend.if_contains("type");
  const boost::json::value* path = volume.backend.if_contains("path");
  if (type == nullptr || path == nullptr || !type->is_string() || !path->is_string()) return "";
  if (type->get_string() != "file") return "";
  const std::filesystem::path given(std::string(path->get_string().data(), path->get_string().size()));
  return (std::filesystem::path(data_folder) / given).lexically_normal().string();
}

void check_backend(const std::string& name, const Volume& volume, const Surroundings& surroundings,
                   Problems& problems) {
  if (!surroundings.check_backend) return;
  for (Problem& problem : surroundings.check_backend(volume.backend)) {
    problem.pointer = pointer("volumes", name, "backend") + problem.pointer;
    problems.push_back(std::move(problem));
  }
}

void check_volumes(const Document& document, const Surroundings& surroundings, Problems& problems) {
  std::map<std::string, std::string> files;  // path to volume
  std::map<Uuid, std::string> uuids;
  std::map<std::string, std::string> serials;
  for (const auto& [name, volume] : document.volumes) {
    check_backend(name, volume, surroundings, problems);
    if (volume.size_bytes % volume.block_bytes != 0) {
      problems.push_back({pointer("volumes", name, "size"), std::to_string(volume.size_bytes) +
                                                                " bytes are no multiple of the block size of " +
                                                                std::to_string(volume.block_bytes) + "."});
    }
    if (volume.physical_block_bytes < volume.block_bytes) {
      problems.push_back({pointer("volumes", name, "physical_block_size"),
                          "a physical block cannot be smaller than a logical block (block_size " +
                              std::to_string(volume.block_bytes) + ")."});
    }
    const std::string file = file_of(volume, surroundings.data_folder);
    if (const auto [other, is_new] = files.emplace(file, name); !file.empty() && !is_new) {
      problems.push_back({below(pointer("volumes", name, "backend"), "path"),
                          "volume " + in_quotes(other->second) +
                              " has the same file: two volumes on it would destroy each other's data."});
    }
    if (volume.uuid) {
      if (const auto [other, is_new] = uuids.emplace(*volume.uuid, name); !is_new) {
        problems.push_back(
            {pointer("volumes", name, "uuid"),
             "volume " + in_quotes(other->second) + " has the same UUID: initiators would take the two for one disk."});
      }
    }
    if (!volume.serial.empty()) {
      if (const auto [other, is_new] = serials.emplace(volume.serial, name); !is_new) {
        problems.push_back({pointer("volumes", name, "serial"),
                            "volume " + in_quotes(other->second) +
                                " has the same serial number: initiators would take the two for one disk."});
      }
    }
  }
}

void check_luns(const Document& document, const std::string& name, const Target& target, Problems& problems) {
  std::map<std::string, std::uint16_t> mapped;
  for (const auto& [number, lun] : target.luns) {
    const std::string where = below(below(pointer("targets", name, "luns"), std::to_string(number)), "volume");
    if (!document.volumes.contains(lun.volume)) {
      problems.push_back({where, unknown("volume", lun.volume, document.volumes)});
    } else if (const auto [other, is_new] = mapped.emplace(lun.volume, number); !is_new) {
      problems.push_back({where, "volume " + in_quotes(lun.volume) + " is LUN " + std::to_string(other->second) +
                                     " of this target already."});
    }
  }
  if (!target.luns.contains(0)) {
    problems.push_back({pointer("targets", name, "luns"),
                        target.luns.empty()
                            ? "the target has no LUNs: initiators find nothing to use."
                            : "LUN 0 is missing: some initiators look no further when they do not find it.",
                        Severity::warning});
  }
}

void check_targets(const Document& document, Problems& problems) {
  for (const auto& [name, target] : document.targets) {
    check_luns(document, name, target, problems);
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < target.portals.size(); ++i) {
      const std::string where = below(pointer("targets", name, "portals"), std::to_string(i));
      if (!document.portals.contains(target.portals[i])) {
        problems.push_back({where, unknown("portal", target.portals[i], document.portals)});
      } else if (!seen.insert(target.portals[i]).second) {
        problems.push_back({where, "portal " + in_quotes(target.portals[i]) + " is listed twice."});
      }
    }
  }
}

}  // namespace

Problems validate(const Document& document, const Surroundings& surroundings) {
  Problems problems;
  check_server(document.server, problems);
  check_portals(document, problems);
  check_volumes(document, surroundings, problems);
  check_targets(document, problems);
  check_access(document, problems);
  if (problems.size() > limits::problems_max) {
    // Cutting the list must never turn a bad document into a good one: errors stay.
    if (has_errors(problems)) std::erase_if(problems, [](const Problem& p) { return p.severity == Severity::warning; });
    problems.resize(std::min(problems.size(), limits::problems_max));
  }
  return problems;
}

Problems validate_change(const Document& current, const Document& next) {
  Problems problems;
  for (const auto& [name, now] : next.volumes) {
    const auto found = current.volumes.find(name);
    if (found == current.volumes.end()) continue;
    const Volume& was = found->second;
    if (now.size_bytes != 0 && now.size_bytes < was.size_bytes) {
      problems.push_back(
          {pointer("volumes", name, "size"),
           "a volume cannot shrink (it has " + size_text(was.size_bytes) +
               "): what lies beyond the new end would be lost. Make a smaller volume and copy the data."});
    }
    if (now.block_bytes != was.block_bytes) {
      problems.push_back(
          {pointer("volumes", name, "block_size"),
           "the block size of an existing volume cannot change: partition tables and file systems count in blocks."});
    }
    if (now.uuid && was.uuid && now.uuid != was.uuid) {
      problems.push_back({pointer("volumes", name, "uuid"), "the UUID of an existing volume cannot change (it is " +
                                                                uuid_text(*was.uuid) +
                                                                "): initiators would take it for another disk."});
    }
  }
  return problems;
}

}  // namespace lunaris::config
