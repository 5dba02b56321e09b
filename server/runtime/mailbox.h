// Mailbox: many producers, one consumer, lock-free. A push that finds it empty must wake the consumer; every other
// push is a compare-exchange and nothing more.
#pragma once

#include <atomic>

namespace lunaris::runtime {

/// A message: intrusive, owned by whoever sent it until `run` is called on the receiving worker.
class Mail {
 public:
  virtual ~Mail() = default;
  /// Runs on the receiving worker; must not touch the sender's state. The mail may delete itself here.
  virtual void run() = 0;
  /// Instead of `run` when the receiver has stopped: give back what the mail carries (descriptors, say).
  virtual void refuse() noexcept = 0;

 protected:
  /// Set for an answer that a worker waits for (it has called `Worker::hold`): delivered while the worker is stopping.
  bool awaited_ = false;

 private:
  friend class Mailbox;
  friend class Worker;
  Mail* next_ = nullptr;
};

class Mailbox {
 public:
  /// Any thread. True when the box was empty: the caller wakes the consumer then.
  [[nodiscard]] bool push(Mail& mail) noexcept;
  /// Consumer. Everything so far, oldest first, linked by the order of arrival; null when empty.
  [[nodiscard]] Mail* take_all() noexcept;
  /// Consumer. The mail after `mail` in a list that `take_all` returned; read it before running `mail`.
  [[nodiscard]] static Mail* next(const Mail& mail) noexcept { return mail.next_; }

 private:
  std::atomic<Mail*> newest_{nullptr};
};

}  // namespace lunaris::runtime
