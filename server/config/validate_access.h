// The checks of who may log in: accounts, secrets, initiators. Used by validate.cpp only.
#pragma once

#include "server/config/model.h"
#include "server/config/problem.h"

namespace lunaris::config {

void check_access(const Document& document, Problems& problems);

}  // namespace lunaris::config
