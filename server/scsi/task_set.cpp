// Task ordering: SAM-5 8.7 (task attributes) over an intrusive list in the order of arrival.
#include "server/scsi/task_set.h"

#include "server/runtime/assert.h"

namespace lunaris::scsi_server {

TaskSet::~TaskSet() {
  LUN_ASSERT(first_ == nullptr);
}

void TaskSet::join(TaskEntry& entry) noexcept {
  switch (entry.command_.attribute) {
    case TaskAttribute::simple:
    case TaskAttribute::aca:
      entry.enabled_ = ordered_ == 0 && head_of_queue_ == 0;
      break;
    case TaskAttribute::ordered:
      entry.enabled_ = first_ == nullptr;
      ++ordered_;
      break;
    case TaskAttribute::head_of_queue:
      entry.enabled_ = true;
      ++head_of_queue_;
      break;
  }
  entry.previous_ = last_;
  (last_ == nullptr ? first_ : last_->next_) = &entry;
  last_ = &entry;
}

void TaskSet::leave(TaskEntry& entry) noexcept {
  LUN_ASSERT(!entry.waiting_);
  (entry.previous_ == nullptr ? first_ : entry.previous_->next_) = entry.next_;
  (entry.next_ == nullptr ? last_ : entry.next_->previous_) = entry.previous_;
  switch (entry.command_.attribute) {
    case TaskAttribute::simple:
    case TaskAttribute::aca:
      // Only an ORDERED task that has become the oldest can have waited for this one.
      if (ordered_ == 0 || first_ == nullptr || first_->enabled_) return;
      break;
    case TaskAttribute::ordered:
      --ordered_;
      break;
    case TaskAttribute::head_of_queue:
      --head_of_queue_;
      break;
  }
  enable_those_whose_turn_it_is();
}

void TaskSet::enable_those_whose_turn_it_is() noexcept {
  if (head_of_queue_ != 0) return;
  for (TaskEntry* entry = first_; entry != nullptr; entry = entry->next_) {
    if (entry->command_.attribute == TaskAttribute::ordered) {
      if (entry == first_) enable(*entry);
      return;
    }
    enable(*entry);
  }
}

void TaskSet::enable(TaskEntry& entry) noexcept {
  if (entry.enabled_) return;
  entry.enabled_ = true;
  if (entry.waiting_) worker_.schedule(entry.ready_);
}

void TaskSet::abort(TaskEntry& entry) noexcept {
  entry.command_.aborted = true;
  if (entry.waiting_) worker_.schedule(entry.ready_);
}

}  // namespace lunaris::scsi_server
