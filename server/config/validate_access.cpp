// What accounts and initiators may not be: too short, ambiguous, the same in both directions, or about nothing.
#include "server/config/validate_access.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "server/config/values.h"
#include "server/limits.h"

namespace lunaris::config {

namespace {

using Texts = std::map<std::string_view, std::string_view>;

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

/// The checks of one target, or of discovery.
class AccessCheck {
 public:
  AccessCheck(const std::set<std::string_view>& user_secrets, Problems& problems)
      : user_secrets_(user_secrets), problems_(problems) {}

  void check_auth(const Auth& auth, const std::string& pointer) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < auth.chap.size(); ++i) {
      const std::string where = below(below(pointer, "chap"), std::to_string(i));
      check_user(auth.chap[i], where);
      if (!seen.insert(auth.chap[i].username).second)
        add(below(where, "username"), in_quotes(auth.chap[i].username) + " is listed twice.");
    }
    if (auth.mutual) check_mutual(*auth.mutual, below(pointer, "mutual"));
  }

  void check_initiator(const Target& target, const Initiator& initiator, const std::string& pointer) {
    if (initiator.chap) check_user(*initiator.chap, below(pointer, "chap"));
    if (initiator.mutual) check_mutual(*initiator.mutual, below(pointer, "mutual"));
    if (initiator.mutual && !initiator.chap && target.auth.chap.empty()) {
      add(below(pointer, "mutual"), "the target proves itself only to who has authenticated: add \"chap\".");
    }
    if (initiator.name.empty() && initiator.addresses.empty() && !initiator.chap)
      add(pointer, "must say who: \"name\", \"addresses\" or \"chap\".");
    if (!initiator.luns) return;
    for (const auto& [number, lun] : *initiator.luns) {
      if (target.luns.contains(number)) continue;
      add(below(below(pointer, "luns"), std::to_string(number)),
          "the target has no LUN " + std::to_string(number) + ".");
    }
  }

  void add(std::string pointer, std::string detail, Severity severity = Severity::error) {
    problems_.push_back({std::move(pointer), std::move(detail), severity});
  }

 private:
  void check_user(const ChapAccount& account, const std::string& pointer) {
    check_secret(account, pointer);
    const auto [known, is_new] = users_.emplace(account.username, account.secret.reveal());
    if (!is_new && known->second != account.secret.reveal()) {
      add(below(pointer, "secret"),
          "user " + in_quotes(account.username) + " has another secret elsewhere in this target: a user has one.");
    }
  }

  void check_mutual(const ChapAccount& account, const std::string& pointer) {
    check_secret(account, pointer);
    const auto [known, is_new] = mutuals_.emplace(account.username, account.secret.reveal());
    if (!is_new && known->second != account.secret.reveal()) {
      add(below(pointer, "secret"),
          in_quotes(account.username) + " has another secret elsewhere in this target: use another user name.");
    }
    if (!account.secret.is_empty() && user_secrets_.contains(account.secret.reveal())) {
      add(below(pointer, "secret"),
          "is the secret of a user as well: with one secret for both directions an initiator's login can be answered "
          "with its own challenge (RFC 7143 9.2.1).");
    }
  }

  void check_secret(const ChapAccount& account, const std::string& pointer) {
    const std::size_t size = account.secret.size_bytes();
    const std::string where = below(pointer, "secret");
    if (account.username.empty()) add(below(pointer, "username"), "must not be empty.");
    if (size == 0) {
      add(where, "there is no secret of " + in_quotes(account.username) + " to keep: write it here.");
    } else if (size < limits::chap_secret_bytes_min || size > limits::chap_secret_bytes_max) {
      add(where, "must have " + std::to_string(limits::chap_secret_bytes_min) + " to " +
                     std::to_string(limits::chap_secret_bytes_max) +
                     " characters (12 to 16 suit every initiator): a shorter one can be found from a recorded login.");
    } else if (size > limits::chap_secret_bytes_usual) {
      add(where, "has more than 16 characters: Microsoft's initiator takes 12 to 16.", Severity::warning);
    }
  }

  const std::set<std::string_view>& user_secrets_;
  Problems& problems_;
  Texts users_, mutuals_;
};

/// Two entries for the same visitors: the second would never count.
std::string identity_of(const Initiator& initiator) {
  std::string text = initiator.name;
  for (const AddressRange& range : initiator.addresses) text += " " + to_string(range);
  if (initiator.chap) text += '\0' + initiator.chap->username;
  return text;
}

void check_target(AccessCheck& check, const std::string& name, const Target& target) {
  const std::string pointer = below("/targets", name);
  check.check_auth(target.auth, below(pointer, "auth"));
  bool has_users = !target.auth.chap.empty();
  std::set<std::string> seen;
  for (std::size_t i = 0; i < target.initiators.size(); ++i) {
    const Initiator& initiator = target.initiators[i];
    const std::string where = below(below(pointer, "initiators"), std::to_string(i));
    check.check_initiator(target, initiator, where);
    has_users = has_users || initiator.chap;
    if (seen.insert(identity_of(initiator)).second) continue;
    check.add(where, (initiator.name.empty() ? "the same" : in_quotes(initiator.name)) + " is listed twice.");
  }
  if (target.auth.mutual && !has_users) {
    check.add(below(below(pointer, "auth"), "mutual"),
              "the target proves itself only to who has authenticated: add users to \"chap\".");
  }
}

std::set<std::string_view> all_user_secrets(const Document& document) {
  std::set<std::string_view> secrets;
  const auto add = [&](const Auth& auth) {
    for (const ChapAccount& account : auth.chap) secrets.insert(account.secret.reveal());
  };
  add(document.discovery_auth);
  for (const auto& [name, target] : document.targets) {
    add(target.auth);
    for (const Initiator& initiator : target.initiators)
      if (initiator.chap) secrets.insert(initiator.chap->secret.reveal());
  }
  return secrets;
}

}  // namespace

void check_access(const Document& document, Problems& problems) {
  const std::set<std::string_view> user_secrets = all_user_secrets(document);
  AccessCheck discovery(user_secrets, problems);
  discovery.check_auth(document.discovery_auth, "/discovery_auth");
  if (document.discovery_auth.mutual && document.discovery_auth.chap.empty()) {
    discovery.add("/discovery_auth/mutual",
                  "the target proves itself only to who has authenticated: add users to \"chap\".");
  }
  for (const auto& [name, target] : document.targets) {
    AccessCheck check(user_secrets, problems);
    check_target(check, name, target);
  }
}

}  // namespace lunaris::config
