#include "server/iscsi/access.h"

#include <algorithm>
#include <string>
#include <vector>

#include "protocol/iscsi/names.h"

namespace lunaris::iscsi_server {
namespace {

/// What a target without rules says: everybody, as the target's users, sees all.
const InitiatorRule& everybody() {
  static const InitiatorRule rule;
  return rule;
}

bool is_listed(const ExportedTarget& target, std::string_view initiator) {
  return target.allowed_initiators.empty() ||
         std::ranges::any_of(target.allowed_initiators,
                             [&](const std::string& name) { return iscsi::normalize_name(name) == initiator; });
}

bool fits(const InitiatorRule& rule, const Visitor& visitor) {
  if (!rule.name.empty() && rule.name != visitor.initiator) return false;
  return rule.addresses.empty() || std::ranges::any_of(rule.addresses, [&](const AddressRange& range) {
           return range.contains(visitor.address);
         });
}

/// In the order of the configuration; empty: not allowed.
std::vector<const InitiatorRule*> fitting_rules(const ExportedTarget& target, const Visitor& visitor) {
  std::vector<const InitiatorRule*> rules;
  if (target.initiators.empty() && is_listed(target, visitor.initiator)) rules.push_back(&everybody());
  for (const InitiatorRule& rule : target.initiators)
    if (fits(rule, visitor)) rules.push_back(&rule);
  return rules;
}

bool accepts(const InitiatorRule& rule, const AuthSpec& auth, std::string_view user) {
  if (rule.user) return rule.user->username == user;
  return auth.users.empty() || std::ranges::find(auth.users, user, &ChapAccount::username) != auth.users.end();
}

iscsi::ChapCredential credential_of(const ChapAccount& account) {
  return {account.username, account.secret.reveal()};
}

void add_user(iscsi::ChapPolicy& policy, const ChapAccount& account, const std::optional<ChapAccount>& mutual) {
  const iscsi::ChapCredential credential = credential_of(account);
  const bool known = std::ranges::any_of(
      policy.users, [&](const iscsi::ChapUser& user) { return user.credential.username == credential.username; });
  if (known) return;
  policy.users.push_back({credential, {}});
  if (mutual) policy.users.back().mutual = credential_of(*mutual);
}

void set_algorithms(iscsi::ChapPolicy& policy, const AuthSpec& auth) {
  for (const std::uint8_t number : auth.algorithms)
    policy.algorithms.push_back(static_cast<iscsi::ChapAlgorithm>(number));
}

/// The users of every rule that fits; whether one of the rules asks for none.
std::optional<iscsi::ChapPolicy> policy_of(const AuthSpec& auth, const std::vector<const InitiatorRule*>& rules) {
  iscsi::ChapPolicy policy;
  for (const InitiatorRule* rule : rules) {
    const std::optional<ChapAccount>& mutual = rule->mutual ? rule->mutual : auth.mutual;
    if (rule->user) {
      add_user(policy, *rule->user, mutual);
    } else {
      if (auth.users.empty()) policy.required = false;
      for (const ChapAccount& account : auth.users) add_user(policy, account, mutual);
    }
  }
  if (policy.users.empty()) return std::nullopt;
  set_algorithms(policy, auth);
  return policy;
}

}  // namespace

Entrance entrance_of_target(const Exports& exports, const Visitor& visitor, std::string_view target,
                            std::string_view portal) {
  const auto found = exports.targets.find(std::string(target));
  if (found == exports.targets.end()) return {iscsi::LoginStatus::not_found, "target not found", {}};
  const ExportedTarget& exported = found->second;
  const bool reached = portal.empty() || exported.portals.empty() ||
                       std::ranges::find(exported.portals, portal) != exported.portals.end();
  if (!reached) return {iscsi::LoginStatus::not_found, "target is not reached through this portal", {}};
  const std::vector<const InitiatorRule*> rules = fitting_rules(exported, visitor);
  if (rules.empty()) return {iscsi::LoginStatus::authorization_failure, "initiator not allowed", {}};
  return {iscsi::LoginStatus::success, {}, policy_of(exported.auth, rules)};
}

Entrance entrance_of_discovery(const Exports& exports) {
  return {iscsi::LoginStatus::success, {}, policy_of(exports.discovery_auth, {&everybody()})};
}

Rights rights_of(const Exports& exports, const Visitor& visitor, std::string_view target, std::string_view user) {
  const auto found = exports.targets.find(std::string(target));
  if (found == exports.targets.end()) return {};
  for (const InitiatorRule* rule : fitting_rules(found->second, visitor)) {
    if (!accepts(*rule, found->second.auth, user)) continue;
    return {true, rule->luns ? rule->luns : found->second.luns};
  }
  return {};
}

}  // namespace lunaris::iscsi_server
