// LUN_ASSERT: what must never happen. On in release builds too; prints expression, file, worker and context, aborts.
#pragma once

namespace lunaris::runtime {

/// Names what the current thread is working on (a session, say) in the message of a failed assertion. Any thread.
void set_assert_context(const char* context) noexcept;

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace lunaris::runtime

#define LUN_ASSERT(expression)                          \
  (static_cast<bool>(expression) ? static_cast<void>(0) \
                                 : ::lunaris::runtime::assertion_failed(#expression, __FILE__, __LINE__))
