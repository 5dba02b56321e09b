// Saves and loads the state: write a new file, sync it, rename it over the old one, sync the folder.
#include "server/control/state_store.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>
#include <vector>

#include "server/config/json.h"
#include "server/config/object_reader.h"
#include "server/config/values.h"
#include "server/limits.h"

namespace lunaris::control {

namespace json = boost::json;

namespace {

constexpr std::uint32_t format_number = 1;
constexpr const char* current_name = "config.json";

std::string failure(const std::string& what, const std::string& path, const runtime::Error& error) {
  return "cannot " + what + " " + path + ": " + error.message();
}

/// The N of "config-N.json".
std::optional<std::uint64_t> revision_of(std::string_view name) {
  constexpr std::string_view prefix = "config-";
  constexpr std::string_view suffix = ".json";
  if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size()) return {};
  name.remove_prefix(prefix.size());
  name.remove_suffix(suffix.size());
  std::uint64_t revision = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), revision);
  if (error != std::errc{} || end != name.data() + name.size()) return {};
  return revision;
}

std::vector<std::uint64_t> revisions_in(const std::vector<std::string>& names) {
  std::vector<std::uint64_t> revisions;
  for (const std::string& name : names) {
    if (const auto revision = revision_of(name)) revisions.push_back(*revision);
  }
  std::ranges::sort(revisions);
  return revisions;
}

std::string revision_name(std::uint64_t revision) {
  return "config-" + std::to_string(revision) + ".json";
}

void decode_records(config::ObjectReader& reader, config::Problems& problems,
                    std::map<std::string, VolumeRecord>& out) {
  const json::object* object = reader.find_object("volume_records");
  if (object == nullptr) return;
  for (const auto& [name, value] : *object) {
    const std::string pointer = config::below("/volume_records", {name.data(), name.size()});
    config::ObjectReader members(value, pointer, problems);
    VolumeRecord record;
    std::string uuid;
    members.read_text("uuid", uuid, limits::label_bytes_max);
    members.read("is_made", record.is_made);
    if (const auto parsed = config::parse_uuid(uuid)) {
      record.uuid = *parsed;
    } else {
      members.problem("uuid", "is no UUID.");
    }
    out.emplace(std::string(name.data(), name.size()), record);
  }
}

}  // namespace

std::string encode_state(const State& state) {
  json::object records;
  for (const auto& [name, record] : state.records) {
    records[name] = json::object{{"uuid", json::string(config::uuid_text(record.uuid))}, {"is_made", record.is_made}};
  }
  const json::object object{{"format", format_number},
                            {"revision", state.revision},
                            {"volume_records", std::move(records)},
                            {"document", config::encode(state.document, config::Secrets::revealed)}};
  return config::pretty(object);
}

StateStore::Loaded decode_state(const std::string& text) {
  config::ParsedText parsed = config::parse_text(text);
  config::Problems problems = std::move(parsed.problems);
  State state;
  if (!config::has_errors(problems)) {
    config::ObjectReader reader(parsed.value, "", problems);
    std::uint32_t format = 0;
    reader.read_number("format", format, 1, 1000);
    if (format > format_number)
      return {{}, "it was written by a newer lunaris (format " + std::to_string(format) + ")"};
    reader.read_number("revision", state.revision, 1, UINT64_MAX);
    decode_records(reader, problems, state.records);
    if (const json::value* document = reader.require("document")) {
      config::Decoded decoded = config::decode(*document);
      for (config::Problem& problem : decoded.problems) {
        problem.pointer = "/document" + problem.pointer;
        problems.push_back(std::move(problem));
      }
      state.document = std::move(decoded.document);
    }
  }
  if (config::has_errors(problems)) return {{}, config::to_string(problems.front())};
  return {std::move(state), ""};
}

StateStore::StateStore(runtime::FileOps& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

StateStore::Loaded StateStore::load() {
  const std::string file = path(current_name);
  auto text = runtime::read_file(files_, file, limits::state_bytes_max);
  if (text.has_value()) {
    Loaded loaded = decode_state(text.value());
    if (!loaded.refusal.empty()) {
      loaded.refusal =
          "the state in " + file + " cannot be used: " + loaded.refusal + " Restore one of the " + folder_ +
          "/config-N.json over it, or correct it; lunaris does not start with an empty configuration instead.";
    }
    return loaded;
  }
  if (text.error().value() != ENOENT) {
    return {{},
            failure("read", file, text.error()) +
                ". Correct that; lunaris does not start with an empty configuration instead."};
  }
  const auto names = files_.list(folder_);
  if (!names.has_value()) {
    if (names.error().value() == ENOENT) return {};
    return {{}, failure("read the folder", folder_, names.error()) + "."};
  }
  const std::vector<std::uint64_t> revisions = revisions_in(names.value());
  if (revisions.empty()) return {};
  return {{},
          file + " is missing, but there are earlier revisions: copy " + path(revision_name(revisions.back())) +
              " to it, or remove all of them to begin anew."};
}

std::string StateStore::save(const State& state) {
  const auto made = files_.make_folder(folder_, 0700);
  if (made.has_error() && made.error().value() != EEXIST) return failure("make the folder", folder_, made.error());
  const std::string text = encode_state(state);
  const std::string file = path(current_name);
  if (const auto written = runtime::write_file_durably(files_, file, text); written.has_error()) {
    return failure("write", file, written.error());
  }
  keep_revision(state.revision, text);
  return "";
}

void StateStore::keep_revision(std::uint64_t revision, const std::string& text) {
  // Copies for people to go back to: the state in force is safe already, so a failure here takes nothing away.
  if (runtime::write_file_durably(files_, path(revision_name(revision)), text).has_error()) return;
  const auto names = files_.list(folder_);
  if (!names.has_value()) return;
  const std::vector<std::uint64_t> revisions = revisions_in(names.value());
  for (std::size_t i = 0; i + limits::revisions_kept < revisions.size(); ++i) {
    static_cast<void>(files_.remove(path(revision_name(revisions[i]))));
  }
}

}  // namespace lunaris::control
