// CHAP accounts, initiators and their LUNs, from and to JSON. A secret goes from the value into Secret without a copy
// on the way, and out only where `Secrets::revealed` is said.
#include "server/config/json_access.h"

#include <algorithm>
#include <array>
#include <utility>

#include "server/config/values.h"
#include "server/limits.h"

namespace lunaris::config {

namespace json = boost::json;

namespace {

constexpr std::array chap_algorithms{ChapAlgorithm::sha3_256, ChapAlgorithm::sha256, ChapAlgorithm::sha1,
                                     ChapAlgorithm::md5};

std::string_view view(json::string_view text) noexcept {
  return {text.data(), text.size()};
}
json::string_view quote(std::string_view text) noexcept {
  return {text.data(), text.size()};
}

/// A list or nothing; a problem when it is something else or too long.
const json::array* find_list(ObjectReader& reader, std::string_view member, std::size_t count_max) {
  const json::value* value = reader.find(member);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    reader.problem(member, "must be a list, not " + std::string(kind_of(*value)) + ".");
    return nullptr;
  }
  if (value->get_array().size() > count_max) {
    reader.problem(member, "has at most " + std::to_string(count_max) + " elements.");
    return nullptr;
  }
  return &value->get_array();
}

// --- accounts --------------------------------------------------------------------------------------------------------

void decode_secret(ObjectReader& reader, Secret& out) {
  const json::value* value = reader.find("secret");
  bool is_set = false;
  reader.read("chap_secret_set", is_set);
  if (value == nullptr) {
    if (!is_set) reader.problem("secret", "is missing.");
    return;
  }
  const json::string* text = value->if_string();
  if (text == nullptr) return reader.problem("secret", "must be a string, not " + std::string(kind_of(*value)) + ".");
  // Empty in the model means "the one in force", which has to be said in its own words.
  if (text->empty()) return reader.problem("secret", "must not be empty.");
  if (std::ranges::any_of(*text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return reader.problem("secret", "contains a control character.");
  out = Secret(view(*text));
}

ChapAccount decode_account(const json::value& value, const std::string& pointer, Problems& problems) {
  ChapAccount out;
  ObjectReader reader(value, pointer, problems);
  if (reader.require("username") != nullptr) {
    reader.read_text("username", out.username, limits::chap_username_bytes_max);
    if (out.username.empty()) reader.problem("username", "must not be empty.");
  }
  decode_secret(reader, out.secret);
  return out;
}

void decode_account_member(ObjectReader& reader, std::string_view member, Problems& problems,
                           std::optional<ChapAccount>& out) {
  if (const json::value* value = reader.find(member)) out = decode_account(*value, reader.pointer_to(member), problems);
}

void decode_algorithms(ObjectReader& reader, std::vector<ChapAlgorithm>& out) {
  std::vector<std::string> names;
  reader.read_texts("chap_algorithms", names, chap_algorithms.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (const auto algorithm = parse_chap_algorithm(names[i])) {
      out.push_back(*algorithm);
    } else {
      reader.problem("chap_algorithms", i, "must be sha3-256, sha256, sha1 or md5.");
    }
  }
}

json::object encode(const ChapAccount& account, Secrets secrets) {
  json::object object{{"username", quote(account.username)}};
  if (secrets == Secrets::revealed && !account.secret.is_empty()) {
    object["secret"] = quote(account.secret.reveal());
  } else {
    object["chap_secret_set"] = true;
  }
  return object;
}

// --- initiators ------------------------------------------------------------------------------------------------------

void decode_name(ObjectReader& reader, std::string& out) {
  reader.read_text("name", out, limits::label_bytes_max);
  if (out.empty()) return;
  if (const std::string fault = iscsi_name_fault(out); !fault.empty())
    reader.problem("name", "\"" + out + "\" is no iSCSI name: " + fault + ".");
  out = lower_case(out);
}

void decode_addresses(ObjectReader& reader, std::vector<AddressRange>& out) {
  std::vector<std::string> texts;
  reader.read_texts("addresses", texts, limits::addresses_per_initiator_max);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto range = parse_address_range(texts[i]);
    if (!range) {
      reader.problem("addresses", i,
                     "\"" + texts[i] + "\" is no address: \"192.0.2.1\", \"10.0.0.0/8\" and \"2001:db8::/32\" are.");
      continue;
    }
    if (range->masked() != *range) {
      reader.problem("addresses", i,
                     "the address goes beyond its prefix; did you mean \"" + to_string(range->masked()) + "\"?");
    }
    out.push_back(range->masked());
  }
}

void decode_lun_list(ObjectReader& reader, const json::array& list, std::map<std::uint16_t, InitiatorLun>& out) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    json::error_code error;
    const auto number = list[i].is_number() ? list[i].to_number<std::uint16_t>(error) : std::uint16_t{0};
    if (!list[i].is_number() || error || number > limits::lun_max) {
      reader.problem("luns", i, "a LUN is a number from 0 to " + std::to_string(limits::lun_max) + ".");
    } else if (!out.emplace(number, InitiatorLun{}).second) {
      reader.problem("luns", i, "LUN " + std::to_string(number) + " is listed twice.");
    }
  }
}

/// {"0": {"read_only": true}} or [0, 1].
void decode_initiator_luns(ObjectReader& reader, Problems& problems, Initiator& out) {
  const json::value* value = reader.find("luns");
  if (value == nullptr) return;
  auto& luns = out.luns.emplace();
  if (const json::array* list = value->if_array()) return decode_lun_list(reader, *list, luns);
  if (!value->is_object()) return reader.problem("luns", "must be a list of numbers, or an object with a member each.");
  for (const auto& [key, members] : value->get_object()) {
    const std::string pointer = below(reader.pointer_to("luns"), view(key));
    const auto number = parse_lun(view(key));
    if (!number) problems.push_back({pointer, "a LUN is a number from 0 to " + std::to_string(limits::lun_max) + "."});
    InitiatorLun lun;
    ObjectReader lun_reader(members, pointer, problems);
    lun_reader.read("read_only", lun.read_only);
    if (number) luns.emplace(*number, lun);
  }
}

Initiator decode_initiator(const json::value& value, const std::string& pointer, Problems& problems) {
  Initiator out;
  if (const json::string* name = value.if_string()) {
    out.name = lower_case(view(*name));
    if (const std::string fault = iscsi_name_fault(view(*name)); !fault.empty())
      problems.push_back({pointer, "\"" + std::string(view(*name)) + "\" is no iSCSI name: " + fault + "."});
    return out;
  }
  ObjectReader reader(value, pointer, problems);
  decode_name(reader, out.name);
  decode_addresses(reader, out.addresses);
  decode_account_member(reader, "chap", problems, out.chap);
  decode_account_member(reader, "mutual", problems, out.mutual);
  decode_initiator_luns(reader, problems, out);
  const json::object* object = value.if_object();
  if (object != nullptr && !object->contains("name") && !object->contains("addresses") && !object->contains("chap"))
    problems.push_back({pointer, "must say who: \"name\", \"addresses\" or \"chap\"."});
  return out;
}

json::object encode(const Initiator& initiator, Secrets secrets) {
  json::object object;
  if (!initiator.name.empty()) object["name"] = quote(initiator.name);
  if (!initiator.addresses.empty()) {
    json::array addresses;
    for (const AddressRange& range : initiator.addresses) addresses.emplace_back(quote(to_string(range)));
    object["addresses"] = std::move(addresses);
  }
  if (initiator.chap) object["chap"] = encode(*initiator.chap, secrets);
  if (initiator.mutual) object["mutual"] = encode(*initiator.mutual, secrets);
  if (initiator.luns) {
    json::object luns;
    for (const auto& [number, lun] : *initiator.luns)
      luns[std::to_string(number)] = json::object{{"read_only", lun.read_only}};
    object["luns"] = std::move(luns);
  }
  return object;
}

}  // namespace

std::optional<std::uint16_t> parse_lun(std::string_view text) {
  const auto number = parse_size(text);
  if (!number || *number > limits::lun_max || std::to_string(*number) != text) return {};
  return static_cast<std::uint16_t>(*number);
}

void decode_auth(ObjectReader& reader, std::string_view member, Problems& problems, Auth& out) {
  const json::value* value = reader.find(member);
  if (value == nullptr) return;
  ObjectReader auth(*value, reader.pointer_to(member), problems);
  if (const json::array* list = find_list(auth, "chap", limits::chap_users_max)) {
    for (std::size_t i = 0; i < list->size(); ++i)
      out.chap.push_back(decode_account((*list)[i], below(auth.pointer_to("chap"), std::to_string(i)), problems));
  }
  decode_account_member(auth, "mutual", problems, out.mutual);
  decode_algorithms(auth, out.chap_algorithms);
}

void decode_initiators(ObjectReader& reader, Problems& problems, std::vector<Initiator>& out) {
  const json::array* list = find_list(reader, "initiators", limits::initiators_per_target_max);
  if (list == nullptr) return;
  for (std::size_t i = 0; i < list->size(); ++i)
    out.push_back(decode_initiator((*list)[i], below(reader.pointer_to("initiators"), std::to_string(i)), problems));
}

json::object encode(const Auth& auth, Secrets secrets) {
  json::array users;
  for (const ChapAccount& account : auth.chap) users.push_back(encode(account, secrets));
  json::object object{{"chap", std::move(users)}};
  if (auth.mutual) object["mutual"] = encode(*auth.mutual, secrets);
  json::array algorithms;
  for (const ChapAlgorithm algorithm : auth.chap_algorithms) algorithms.emplace_back(quote(to_string(algorithm)));
  object["chap_algorithms"] = std::move(algorithms);
  return object;
}

json::array encode_initiators(const std::vector<Initiator>& initiators, Secrets secrets) {
  json::array list;
  for (const Initiator& initiator : initiators) {
    if (initiator == Initiator{.name = initiator.name}) {
      list.emplace_back(quote(initiator.name));
    } else {
      list.push_back(encode(initiator, secrets));
    }
  }
  return list;
}

std::string_view to_string(ChapAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case ChapAlgorithm::md5:
      return "md5";
    case ChapAlgorithm::sha1:
      return "sha1";
    case ChapAlgorithm::sha256:
      return "sha256";
    case ChapAlgorithm::sha3_256:
      return "sha3-256";
  }
  return "";
}

std::optional<ChapAlgorithm> parse_chap_algorithm(std::string_view text) noexcept {
  for (const ChapAlgorithm algorithm : chap_algorithms)
    if (to_string(algorithm) == text) return algorithm;
  return {};
}

}  // namespace lunaris::config
