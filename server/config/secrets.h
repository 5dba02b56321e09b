// Secrets are written and never read back: a document that was read from a server has none. When it comes back, changed
// or not, the accounts without a secret keep the one in force.
#pragma once

#include "server/config/model.h"

namespace lunaris::config {

/// Gives each account of `document` without a secret the one that `current` has for the same user name in the same
/// place (discovery, or the target of the same name). Accounts that find none stay without: `validate` refuses them.
void keep_secrets(Document& document, const Document& current);

}  // namespace lunaris::config
