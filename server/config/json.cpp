// The decoders and encoders of the configuration document, one pair per kind of object.
#include "server/config/json.h"

#include <array>
#include <utility>

#include "server/config/json_access.h"
#include "server/config/object_reader.h"
#include "server/config/values.h"
#include "server/limits.h"

namespace lunaris::config {

namespace json = boost::json;

namespace {

std::string_view view(json::string_view text) noexcept {
  return {text.data(), text.size()};
}
json::string_view quote(std::string_view text) noexcept {
  return {text.data(), text.size()};
}

// --- server ----------------------------------------------------------------------------------------------------------

/// The members of `out` that are objects themselves are read by `decode_member(value, pointer, problems, out)`.
template <class Part>
void decode_part(ObjectReader& reader, std::string_view member, Problems& problems, Part& out,
                 void (*decode_members)(ObjectReader&, Part&)) {
  const json::value* value = reader.find(member);
  if (value == nullptr) return;
  ObjectReader part(*value, reader.pointer_to(member), problems);
  decode_members(part, out);
}

void decode_workers(ObjectReader& reader, Server::Workers& out) {
  reader.read_number("count", out.count, 0, limits::workers_max);
  reader.read_numbers("cpus", out.cpus, limits::cpu_max, limits::workers_max);
}

void decode_buffers(ObjectReader& reader, Server::Buffers& out) {
  reader.read_size("bytes_per_worker", out.bytes_per_worker, limits::buffer_bytes_per_worker_min,
                   limits::buffer_bytes_per_worker_max);
}

void decode_log(ObjectReader& reader, Server::Log& out) {
  std::string level(to_string(out.level));
  std::string format(to_string(out.format));
  reader.read_text("level", level, limits::label_bytes_max);
  reader.read_text("format", format, limits::label_bytes_max);
  if (const auto parsed = parse_log_level(level)) {
    out.level = *parsed;
  } else {
    reader.problem("level", "must be trace, debug, info, warn or error.");
  }
  if (const auto parsed = parse_log_format(format)) {
    out.format = *parsed;
  } else {
    reader.problem("format", "must be text or json.");
  }
}

void decode_management(ObjectReader& reader, Server::Management& out) {
  reader.read_text("socket", out.socket, limits::socket_path_bytes_max);
  if (out.socket.empty()) reader.problem("socket", "must be the path of the management socket.");
}

void decode_web(ObjectReader& reader, Server::Web& out) {
  const json::value* listen = reader.find("listen");
  reader.read("insecure_http", out.insecure_http);
  if (listen == nullptr || listen->is_null()) return;
  reader.read_text("listen", out.listen, limits::label_bytes_max);
  if (!listen->is_string()) return;
  const std::string fault = web_listen_fault(out.listen, out.insecure_http);
  if (!fault.empty()) return reader.problem("listen", fault);
  const auto address = parse_address(out.listen, web_port_default);
  out.listen = address_text(address->address, address->port);
}

void decode_server(const json::value& value, Problems& problems, Server& out) {
  ObjectReader reader(value, "/server", problems);
  decode_part(reader, "workers", problems, out.workers, decode_workers);
  decode_part(reader, "buffers", problems, out.buffers, decode_buffers);
  decode_part(reader, "log", problems, out.log, decode_log);
  decode_part(reader, "management", problems, out.management, decode_management);
  decode_part(reader, "web", problems, out.web, decode_web);
  reader.read_number("shutdown_grace_ms", out.shutdown_grace_ms, 0, limits::shutdown_grace_ms_max);
}

// --- portals ---------------------------------------------------------------------------------------------------------

void decode_advertise(ObjectReader& reader, Portal& out) {
  const json::value* value = reader.find("advertise");
  if (value == nullptr) return;
  if (value->is_array()) {
    out.advertise = Portal::Advertise::list;
    reader.read_texts("advertise", out.advertised, limits::portals_max);
    if (out.advertised.empty()) reader.problem("advertise", "the list is empty; write \"omit\" to advertise nothing.");
    for (std::size_t i = 0; i < out.advertised.size(); ++i) {
      if (is_advertised_address(out.advertised[i])) continue;
      reader.problem("advertise", i, "\"" + out.advertised[i] + "\" is not of the form \"host:port,group_tag\".");
    }
    return;
  }
  const json::string* word = value->if_string();
  if (word != nullptr && *word == "auto") {
    out.advertise = Portal::Advertise::automatic;
  } else if (word != nullptr && *word == "omit") {
    out.advertise = Portal::Advertise::omit;
  } else {
    reader.problem("advertise", "must be \"auto\", \"omit\" or a list of \"host:port,group_tag\".");
  }
}

Portal decode_portal(const json::value& value, const std::string& pointer, Problems& problems) {
  Portal out;
  ObjectReader reader(value, pointer, problems);
  std::string listen = address_text(out.address, out.port);
  if (reader.require("listen") != nullptr) reader.read_text("listen", listen, limits::label_bytes_max);
  if (auto address = parse_address(listen, out.port)) {
    out.address = std::move(address->address);
    out.port = address->port;
  } else {
    reader.problem("listen", "must be a numeric address and a port: \"0.0.0.0:3260\" or \"[::]:3260\".");
  }
  decode_advertise(reader, out);
  reader.read_number("group_tag", out.group_tag, 1, 65535);
  return out;
}

// --- volumes ---------------------------------------------------------------------------------------------------------

void decode_labels(ObjectReader& reader, Problems& problems, std::map<std::string, std::string>& out) {
  const json::object* object = reader.find_object("labels");
  if (object == nullptr) return;
  if (object->size() > limits::labels_max) {
    return reader.problem("labels", "has at most " + std::to_string(limits::labels_max) + " members.");
  }
  for (const auto& [key, value] : *object) {
    const json::string* text = value.if_string();
    if (text == nullptr || text->size() > limits::label_bytes_max || key.size() > limits::label_bytes_max) {
      problems.push_back({below(reader.pointer_to("labels"), view(key)),
                          "a label is a string of at most " + std::to_string(limits::label_bytes_max) + " bytes."});
      continue;
    }
    out.emplace(view(key), view(json::string_view(*text)));
  }
}

void decode_block_size(ObjectReader& reader, std::string_view member, std::uint32_t& out) {
  std::uint32_t bytes = out;
  reader.read_number(member, bytes, 1, 1U << 20);
  if (bytes != 512 && bytes != 4096) return reader.problem(member, "must be 512 or 4096.");
  out = bytes;
}

Volume decode_volume(const json::value& value, const std::string& pointer, Problems& problems) {
  Volume out;
  ObjectReader reader(value, pointer, problems);
  reader.read_size("size", out.size_bytes, 0, limits::volume_bytes_max);
  const json::value* backend = reader.require("backend");
  if (backend != nullptr && !backend->is_object()) reader.problem("backend", "must be an object with a \"type\".");
  if (backend != nullptr && backend->is_object()) out.backend = backend->get_object();
  decode_block_size(reader, "block_size", out.block_bytes);
  decode_block_size(reader, "physical_block_size", out.physical_block_bytes);
  reader.read("read_only", out.read_only);
  reader.read("removable", out.removable);
  reader.read_printable("serial", out.serial, limits::serial_bytes_max);
  reader.read_printable("product", out.product, limits::product_bytes_max);
  std::string uuid;
  reader.read_text("uuid", uuid, limits::label_bytes_max);
  if (!uuid.empty()) out.uuid = parse_uuid(uuid);
  if (!uuid.empty() && !out.uuid) {
    reader.problem("uuid", "must be of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, in hexadecimal digits.");
  }
  decode_labels(reader, problems, out.labels);
  return out;
}

// --- targets ---------------------------------------------------------------------------------------------------------

void decode_luns(ObjectReader& reader, Problems& problems, std::map<std::uint16_t, Lun>& out) {
  const json::object* object = reader.find_object("luns");
  if (object == nullptr) return;
  for (const auto& [key, value] : *object) {
    const std::string pointer = below(reader.pointer_to("luns"), view(key));
    const auto number = parse_lun(view(key));
    if (!number) {
      problems.push_back({pointer, "a LUN is a number from 0 to " + std::to_string(limits::lun_max) + "."});
    }
    Lun lun;
    ObjectReader members(value, pointer, problems);
    if (members.require("volume") != nullptr) members.read_text("volume", lun.volume, limits::label_bytes_max);
    members.read("read_only", lun.read_only);
    if (number) out.emplace(*number, std::move(lun));
  }
}

Target decode_target(const json::value& value, const std::string& pointer, Problems& problems) {
  Target out;
  ObjectReader reader(value, pointer, problems);
  reader.read_text("alias", out.alias, limits::alias_bytes_max);
  decode_luns(reader, problems, out.luns);
  decode_initiators(reader, problems, out.initiators);
  decode_auth(reader, "auth", problems, out.auth);
  reader.read_texts("portals", out.portals, limits::portals_max);
  return out;
}

// --- the document ----------------------------------------------------------------------------------------------------

std::string object_name_fault(std::string_view name) {
  if (is_object_name(name)) return "";
  return "a name has 1 to 63 characters from a-z 0-9 . _ : - and begins with a letter or digit.";
}

std::string target_name_fault(std::string_view name) {
  const std::string fault = iscsi_name_fault(name);
  return fault.empty() ? fault : fault + ".";
}

/// One map of the document, whose keys are names.
template <class Part>
void decode_map(ObjectReader& reader, std::string_view member, Problems& problems, std::map<std::string, Part>& out,
                std::size_t count_max, std::string (*name_fault)(std::string_view),
                Part (*decode_one)(const json::value&, const std::string&, Problems&)) {
  const json::object* object = reader.find_object(member);
  if (object == nullptr) return;
  if (object->size() > count_max) {
    return reader.problem(member, "there may be at most " + std::to_string(count_max) + " of them.");
  }
  for (const auto& [key, value] : *object) {
    const std::string pointer = below(reader.pointer_to(member), view(key));
    const std::string fault = name_fault(view(key));
    if (!fault.empty()) problems.push_back({pointer, fault});
    const bool is_new = out.emplace(lower_case(view(key)), decode_one(value, pointer, problems)).second;
    if (!is_new) problems.push_back({pointer, "this name is there already, in other letters: case does not matter."});
  }
}

json::array strings(const std::vector<std::string>& texts) {
  json::array list;
  for (const std::string& text : texts) list.emplace_back(quote(text));
  return list;
}

template <class Part>
json::object encode_map(const std::map<std::string, Part>& parts) {
  json::object object;
  for (const auto& [name, part] : parts) object[name] = encode(part);
  return object;
}

}  // namespace

Decoded decode(const json::value& value) {
  Decoded decoded;
  Problems& problems = decoded.problems;
  Document& document = decoded.document;
  {
    ObjectReader reader(value, "", problems);
    if (const json::value* server = reader.find("server")) decode_server(*server, problems, document.server);
    decode_auth(reader, "discovery_auth", problems, document.discovery_auth);
    decode_map(reader, "portals", problems, document.portals, limits::portals_max, object_name_fault, decode_portal);
    decode_map(reader, "volumes", problems, document.volumes, limits::volumes_max, object_name_fault, decode_volume);
    decode_map(reader, "targets", problems, document.targets, limits::targets_max, target_name_fault, decode_target);
  }
  if (problems.size() > limits::problems_max) problems.resize(limits::problems_max);
  return decoded;
}

Decoded decode_text(std::string_view text) {
  ParsedText parsed = parse_text(text);
  if (has_errors(parsed.problems)) return {{}, std::move(parsed.problems)};
  return decode(parsed.value);
}

json::object encode(const Server& server) {
  json::array cpus;
  for (std::uint32_t cpu : server.workers.cpus) cpus.emplace_back(cpu);
  return {{"workers", {{"count", server.workers.count}, {"cpus", std::move(cpus)}}},
          {"buffers", {{"bytes_per_worker", server.buffers.bytes_per_worker}}},
          {"log", {{"level", quote(to_string(server.log.level))}, {"format", quote(to_string(server.log.format))}}},
          {"management", {{"socket", quote(server.management.socket)}}},
          {"web",
           {{"listen", server.web.listen.empty() ? json::value(nullptr) : json::value(quote(server.web.listen))},
            {"insecure_http", server.web.insecure_http}}},
          {"shutdown_grace_ms", server.shutdown_grace_ms}};
}

json::object encode(const Portal& portal) {
  json::object object{{"listen", quote(address_text(portal.address, portal.port))}};
  switch (portal.advertise) {
    case Portal::Advertise::automatic:
      object["advertise"] = "auto";
      break;
    case Portal::Advertise::omit:
      object["advertise"] = "omit";
      break;
    case Portal::Advertise::list:
      object["advertise"] = strings(portal.advertised);
      break;
  }
  object["group_tag"] = portal.group_tag;
  return object;
}

json::object encode(const Volume& volume) {
  json::object object{{"size", volume.size_bytes},        {"backend", volume.backend},
                      {"block_size", volume.block_bytes}, {"physical_block_size", volume.physical_block_bytes},
                      {"read_only", volume.read_only},    {"removable", volume.removable}};
  if (volume.uuid) object["uuid"] = quote(uuid_text(*volume.uuid));
  object["serial"] = quote(volume.serial);
  object["product"] = quote(volume.product);
  json::object labels;
  for (const auto& [name, value] : volume.labels) labels[name] = quote(value);
  object["labels"] = std::move(labels);
  return object;
}

json::object encode(const Target& target, Secrets secrets) {
  json::object luns;
  for (const auto& [number, lun] : target.luns) {
    luns[std::to_string(number)] = json::object{{"volume", quote(lun.volume)}, {"read_only", lun.read_only}};
  }
  return {{"alias", quote(target.alias)},
          {"luns", std::move(luns)},
          {"initiators", encode_initiators(target.initiators, secrets)},
          {"portals", strings(target.portals)},
          {"auth", encode(target.auth, secrets)}};
}

json::object encode(const Document& document, Secrets secrets) {
  json::object targets;
  for (const auto& [name, target] : document.targets) targets[name] = encode(target, secrets);
  return {{"server", encode(document.server)},
          {"discovery_auth", encode(document.discovery_auth, secrets)},
          {"portals", encode_map(document.portals)},
          {"volumes", encode_map(document.volumes)},
          {"targets", std::move(targets)}};
}

json::object encode(const Problem& problem) {
  json::object object{{"pointer", quote(problem.pointer)},
                      {"detail", quote(problem.detail)},
                      {"severity", problem.severity == Severity::warning ? "warning" : "error"}};
  if (problem.line != 0) {
    object["line"] = problem.line;
    object["column"] = problem.column;
  }
  return object;
}

json::array encode(const Problems& problems) {
  json::array list;
  for (const Problem& problem : problems) list.push_back(encode(problem));
  return list;
}

}  // namespace lunaris::config
