// The mailbox's list: producers push at its head, the consumer takes all of it and reverses it.
#include "server/runtime/mailbox.h"

namespace lunaris::runtime {

// Sequentially consistent on purpose: Worker::send pairs a push with a later load of the worker's state.
bool Mailbox::push(Mail& mail) noexcept {
  Mail* newest = newest_.load(std::memory_order_relaxed);
  do {
    mail.next_ = newest;
  } while (!newest_.compare_exchange_weak(newest, &mail, std::memory_order_seq_cst, std::memory_order_relaxed));
  return newest == nullptr;
}

Mail* Mailbox::take_all() noexcept {
  Mail* newest = newest_.exchange(nullptr, std::memory_order_seq_cst);
  Mail* oldest = nullptr;
  while (newest != nullptr) {
    Mail* const older = newest->next_;
    newest->next_ = oldest;
    oldest = newest;
    newest = older;
  }
  return oldest;
}

}  // namespace lunaris::runtime
