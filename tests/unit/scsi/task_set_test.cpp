// Task ordering against an oracle that is SAM-5 8.7 word for word.
#include "server/scsi/task_set.h"

#include <random>

#include "server/scsi/unit_attentions.h"
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using scsi_server::Command;
using scsi_server::TaskAttribute;
using scsi_server::TaskEntry;
using scsi_server::TaskSet;

namespace {

/// A task with its life: it waits for its turn and then until the test lets it end.
struct Life {
  explicit Life(TaskAttribute attribute) { command.attribute = attribute; }
  Command command;
  runtime::Signal finish;
  bool running = false;
  bool ended = false;
};

runtime::Task<> live(TaskSet& tasks, Life& life) {
  TaskEntry entry(life.command);
  tasks.join(entry);
  co_await tasks.turn(entry);
  if (!life.command.aborted) {
    life.running = true;
    co_await life.finish.wait();
    life.running = false;
  }
  tasks.leave(entry);
  life.ended = true;
}

/// Whether `lives[index]` may be in the enabled state: SAM-5 8.7.2 to 8.7.4. A task that has been enabled stays so,
/// which is why HEAD OF QUEUE tasks that came later do not stop it.
bool may_run(const std::vector<std::unique_ptr<Life>>& lives, std::size_t index) {
  const TaskAttribute attribute = lives[index]->command.attribute;
  if (attribute == TaskAttribute::head_of_queue) return true;
  for (std::size_t other = 0; other < lives.size(); ++other) {
    if (other == index || lives[other]->ended) continue;
    const TaskAttribute theirs = lives[other]->command.attribute;
    if (theirs == TaskAttribute::head_of_queue) return false;
    if (other < index && (attribute == TaskAttribute::ordered || theirs == TaskAttribute::ordered)) return false;
  }
  return true;
}

void check_against_oracle(std::uint32_t seed) {
  CAPTURE(seed);
  std::mt19937 random(seed);
  SteppedWorker worker;
  TaskSet tasks(*worker);
  std::vector<std::unique_ptr<Life>> lives;
  std::vector<bool> expected;
  const auto look = [&] {
    settle({&worker});
    for (std::size_t index = 0; index < lives.size(); ++index) {
      if (!lives[index]->ended && !expected[index]) expected[index] = may_run(lives, index);
    }
    for (std::size_t index = 0; index < lives.size(); ++index) {
      CAPTURE(index);
      REQUIRE(lives[index]->running == (expected[index] && !lives[index]->ended));
    }
  };
  for (int step = 0; step < 150; ++step) {
    std::vector<std::size_t> running, waiting;
    for (std::size_t index = 0; index < lives.size(); ++index) {
      if (!lives[index]->ended) (lives[index]->running ? running : waiting).push_back(index);
    }
    const std::uint32_t choice = random() % 10;
    if (choice < 5) {
      const std::uint32_t kind = random() % 8;
      lives.push_back(std::make_unique<Life>(kind == 0   ? TaskAttribute::head_of_queue
                                             : kind <= 2 ? TaskAttribute::ordered
                                                         : TaskAttribute::simple));
      expected.push_back(false);
      worker.start(live(tasks, *lives.back()));
    } else if (choice < 9 && !running.empty()) {
      Life& life = *lives[running[random() % running.size()]];
      worker.call([&] { life.finish.set(); });
    } else if (!waiting.empty()) {
      Life& life = *lives[waiting[random() % waiting.size()]];
      worker.call([&] {
        for (TaskEntry* entry = tasks.first(); entry != nullptr; entry = entry->next()) {
          if (&entry->command() == &life.command) tasks.abort(*entry);
        }
      });
    }
    look();
  }
  for (std::size_t round = 0; round < lives.size() && worker.running() != 0; ++round) {
    for (const std::unique_ptr<Life>& life : lives) {
      if (life->running) worker.call([&] { life->finish.set(); });
    }
    look();
  }
  REQUIRE(worker.running() == 0);
  REQUIRE(tasks.is_empty());
}

}  // namespace

TEST_CASE("task attributes order tasks as SAM says for any history", "[scsi][SAM-5 8.7]") {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) check_against_oracle(seed);
}

TEST_CASE("SIMPLE tasks alone never wait", "[scsi][SAM-5 8.7.2]") {
  SteppedWorker worker;
  TaskSet tasks(*worker);
  std::vector<std::unique_ptr<Life>> lives;
  for (int index = 0; index < 100; ++index) {
    lives.push_back(std::make_unique<Life>(TaskAttribute::simple));
    worker.start(live(tasks, *lives.back()));
    CHECK(lives.back()->running);
  }
  for (const std::unique_ptr<Life>& life : lives) worker.call([&] { life->finish.set(); });
  settle({&worker});
  CHECK(tasks.is_empty());
}

TEST_CASE("unit attentions beyond the limit forget the least important one", "[scsi][SAM-5 5.14]") {
  scsi_server::UnitAttentions attentions;
  for (std::uint8_t ascq = 0; ascq < 20; ++ascq) attentions.raise({0x3f, ascq});
  attentions.raise(scsi::additional_sense::power_on_occurred);
  CHECK(attentions.take() == scsi::additional_sense::power_on_occurred);
  for (std::uint8_t ascq = 0; ascq < scsi_server::UnitAttentions::pending_max - 1; ++ascq) {
    CHECK(attentions.take() == scsi::AdditionalSense{0x3f, ascq});
  }
  CHECK_FALSE(attentions.is_pending());
  CHECK_FALSE(attentions.take());
}
