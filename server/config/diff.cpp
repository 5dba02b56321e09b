// Compares documents section by section and says of each change whether sessions notice it.
#include "server/config/diff.h"

#include <algorithm>
#include <utility>

#include "server/config/json.h"

namespace lunaris::config {

namespace json = boost::json;

namespace {

/// Names of the members in which the two encodings differ.
std::vector<std::string> differing(const json::object& from, const json::object& to) {
  std::vector<std::string> members;
  const auto compare = [&](const json::object& left, const json::object& right, bool only_missing) {
    for (const auto& member : left) {
      const json::value* other = right.if_contains(member.key());
      if (other == nullptr || (!only_missing && *other != member.value())) members.emplace_back(member.key());
    }
  };
  compare(from, to, false);
  compare(to, from, true);
  return members;
}

bool is_mapped(const Document& document, const std::string& volume) {
  return std::ranges::any_of(document.targets, [&](const auto& target) {
    return std::ranges::any_of(target.second.luns, [&](const auto& lun) { return lun.second.volume == volume; });
  });
}

bool was_reachable(const Document& document, const std::string& portal) {
  return std::ranges::any_of(document.targets, [&](const auto& target) {
    return target.second.portals.empty() || std::ranges::count(target.second.portals, portal) > 0;
  });
}

// --- who notices -----------------------------------------------------------------------------------------------------

std::string disruption(const Document& from, const std::string& name, const Portal* was, const Portal* now) {
  if (was == nullptr || !was_reachable(from, name)) return "";
  if (now == nullptr) return "initiators that use this address find it closed when they connect again.";
  if (was->address == now->address && was->port == now->port) return "";
  return "initiators that use the old address find it closed when they connect again.";
}

std::string disruption(const Document& from, const std::string& name, const Volume* was, const Volume* now) {
  if (was == nullptr || !is_mapped(from, name)) return "";
  if (now == nullptr) return "initiators lose the disk.";
  Volume same_but_size = *now;
  same_but_size.size_bytes = was->size_bytes;
  same_but_size.labels = was->labels;
  same_but_size.read_only = was->read_only;
  if (same_but_size.uuid.has_value() != was->uuid.has_value()) same_but_size.uuid = was->uuid;
  if (same_but_size != *was) return "the volume is closed and opened again; commands meanwhile fail.";
  if (now->read_only && !was->read_only) return "writes are refused from then on.";
  return "";
}

/// Whether nobody who could log in before is shut out.
bool is_no_stricter(const Target& was, const Target& now) {
  if (now.initiators.empty()) return true;
  return !was.initiators.empty() && std::ranges::all_of(was.initiators, [&](const Initiator& initiator) {
    return std::ranges::count(now.initiators, initiator) > 0;
  });
}

bool has_no_fewer_users(const Auth& was, const Auth& now) {
  if (was.chap.empty()) return now.chap.empty();
  return now.chap.empty() || std::ranges::all_of(was.chap, [&](const ChapAccount& account) {
           return std::ranges::count(now.chap, account.username, &ChapAccount::username) > 0;
         });
}

/// Sessions that the new rules would not let in end; those that only see other LUNs lose these.
std::string access_disruption(const Target& was, const Target& now) {
  if (!is_no_stricter(was, now)) {
    return "sessions of initiators that are not listed any more, or with other rights, end or lose LUNs.";
  }
  if (was.auth.chap.empty() && !now.auth.chap.empty()) return "sessions that have not authenticated end.";
  return has_no_fewer_users(was.auth, now.auth) ? "" : "sessions of users that are not listed any more end.";
}

std::string disruption(const Document&, const std::string&, const Target* was, const Target* now) {
  if (was == nullptr) return "";
  if (now == nullptr) return "its sessions are closed.";
  for (const auto& [number, lun] : was->luns) {
    const auto found = now->luns.find(number);
    if (found == now->luns.end()) return "initiators lose LUN " + std::to_string(number) + ".";
    if (found->second.volume != lun.volume) return "LUN " + std::to_string(number) + " becomes another disk.";
    if (found->second.read_only && !lun.read_only)
      return "writes to LUN " + std::to_string(number) + " are refused from then on.";
  }
  return access_disruption(*was, *now);
}

// --- one section -----------------------------------------------------------------------------------------------------

template <class Part>
std::vector<std::string> differing(const Part& was, const Part& now) {
  return differing(encode(was), encode(now));
}

/// With the secrets: a changed one is a difference. Only the members' names leave this function.
std::vector<std::string> differing(const Target& was, const Target& now) {
  return differing(encode(was, Secrets::revealed), encode(now, Secrets::revealed));
}

template <class Part>
void compare(Section section, const Document& from, const std::map<std::string, Part>& was,
             const std::map<std::string, Part>& now, Diff& changes) {
  for (const auto& [name, part] : was) {
    if (now.contains(name)) continue;
    changes.push_back({Action::remove, section, name, {}, disruption(from, name, &part, nullptr), false, {}});
  }
  for (const auto& [name, part] : now) {
    const auto found = was.find(name);
    if (found == was.end()) {
      changes.push_back({Action::create, section, name, {}, "", false, part});
    } else if (found->second != part) {
      changes.push_back({Action::update, section, name, differing(found->second, part),
                         disruption(from, name, &found->second, &part), false, part});
    }
  }
}

void compare_server(const Server& was, const Server& now, Diff& changes) {
  if (was == now) return;
  Server live_members = now;  // equal to `was` when only what can change in a running process has changed
  live_members.log.level = was.log.level;
  live_members.shutdown_grace_ms = was.shutdown_grace_ms;
  changes.push_back(
      {Action::update, Section::server, "", differing(encode(was), encode(now)), "", live_members != was, now});
}

void compare_discovery_auth(const Auth& was, const Auth& now, Diff& changes) {
  if (was == now) return;
  changes.push_back({Action::update, Section::discovery_auth, "",
                     differing(encode(was, Secrets::revealed), encode(now, Secrets::revealed)), "", false, now});
}

template <class Part>
void patch_one(std::map<std::string, Part>& parts, const Change& change) {
  if (change.action == Action::remove) {
    parts.erase(change.name);
  } else {
    parts[change.name] = std::get<Part>(change.value);
  }
}

std::string path_of(const Change& change) {
  return std::string(to_string(change.section)) + (change.name.empty() ? "" : "/" + change.name);
}

}  // namespace

Diff diff(const Document& from, const Document& to) {
  Diff changes;
  compare_server(from.server, to.server, changes);
  compare_discovery_auth(from.discovery_auth, to.discovery_auth, changes);
  compare(Section::portals, from, from.portals, to.portals, changes);
  compare(Section::volumes, from, from.volumes, to.volumes, changes);
  compare(Section::targets, from, from.targets, to.targets, changes);
  return changes;
}

Document patch(Document document, const Diff& changes) {
  for (const Change& change : changes) {
    switch (change.section) {
      case Section::server:
        document.server = std::get<Server>(change.value);
        break;
      case Section::discovery_auth:
        document.discovery_auth = std::get<Auth>(change.value);
        break;
      case Section::portals:
        patch_one(document.portals, change);
        break;
      case Section::volumes:
        patch_one(document.volumes, change);
        break;
      case Section::targets:
        patch_one(document.targets, change);
        break;
    }
  }
  return document;
}

json::object encode(const Diff& changes) {
  json::array created;
  json::array updated;
  json::array removed;
  json::array disruptive;
  json::array restart;
  for (const Change& change : changes) {
    const std::string path = path_of(change);
    switch (change.action) {
      case Action::create:
        created.emplace_back(json::string(path));
        break;
      case Action::remove:
        removed.emplace_back(json::string(path));
        break;
      case Action::update: {
        json::array members;
        for (const std::string& member : change.members) members.emplace_back(json::string(member));
        updated.push_back(json::object{{"name", json::string(path)}, {"members", std::move(members)}});
        break;
      }
    }
    if (!change.disruption.empty()) {
      disruptive.push_back(json::object{{"name", json::string(path)}, {"reason", json::string(change.disruption)}});
    }
    if (change.needs_restart) restart.emplace_back(json::string(path));
  }
  return {{"create", std::move(created)},
          {"update", std::move(updated)},
          {"delete", std::move(removed)},
          {"disruptive", std::move(disruptive)},
          {"restart", std::move(restart)}};
}

std::string_view to_string(Section section) noexcept {
  switch (section) {
    case Section::server:
      return "server";
    case Section::discovery_auth:
      return "discovery_auth";
    case Section::portals:
      return "portals";
    case Section::volumes:
      return "volumes";
    case Section::targets:
      return "targets";
  }
  return "";
}

std::string_view to_string(Action action) noexcept {
  switch (action) {
    case Action::create:
      return "create";
    case Action::update:
      return "update";
    case Action::remove:
      return "delete";
  }
  return "";
}

}  // namespace lunaris::config
