// Carries secrets over from one document to the next by user name.
#include "server/config/secrets.h"

#include <string_view>

namespace lunaris::config {

namespace {

/// The secrets of one place.
struct Known {
  std::map<std::string_view, const Secret*> users, mutuals;

  void add(const Auth& auth) {
    for (const ChapAccount& account : auth.chap) users.emplace(account.username, &account.secret);
    if (auth.mutual) mutuals.emplace(auth.mutual->username, &auth.mutual->secret);
  }
  void add(const Target& target) {
    add(target.auth);
    for (const Initiator& initiator : target.initiators) {
      if (initiator.chap) users.emplace(initiator.chap->username, &initiator.chap->secret);
      if (initiator.mutual) mutuals.emplace(initiator.mutual->username, &initiator.mutual->secret);
    }
  }
};

void keep(ChapAccount& account, const std::map<std::string_view, const Secret*>& known) {
  if (!account.secret.is_empty()) return;
  if (const auto found = known.find(account.username); found != known.end()) account.secret = *found->second;
}

void keep(Auth& auth, const Known& known) {
  for (ChapAccount& account : auth.chap) keep(account, known.users);
  if (auth.mutual) keep(*auth.mutual, known.mutuals);
}

}  // namespace

void keep_secrets(Document& document, const Document& current) {
  Known discovery;
  discovery.add(current.discovery_auth);
  keep(document.discovery_auth, discovery);
  for (auto& [name, target] : document.targets) {
    const auto before = current.targets.find(name);
    if (before == current.targets.end()) continue;
    Known known;
    known.add(before->second);
    keep(target.auth, known);
    for (Initiator& initiator : target.initiators) {
      if (initiator.chap) keep(*initiator.chap, known.users);
      if (initiator.mutual) keep(*initiator.mutual, known.mutuals);
    }
  }
}

}  // namespace lunaris::config
