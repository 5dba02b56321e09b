// Random commands of several nexuses on two workers against a naive oracle: statuses, unit attentions and the reported
// state must be the oracle's. Two at once must end as one of the two orders would.
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/unit/scsi/cluster.h"

using namespace lunaris;
using namespace lunaris::test;

namespace {

constexpr unsigned host_count = 4;
constexpr unsigned attention_preempted = 0x2a03, attention_released = 0x2a04, attention_registration = 0x2a05;

/// One random command.
struct Step {
  enum Kind : unsigned { out, read, write, ready, reserve, release, kinds };
  unsigned host = 0;
  Kind kind = out;
  std::uint8_t action = 0;
  std::uint64_t key = 0, action_key = 0;
  std::uint8_t type = 0;
};

/// What a command ends with: "good", "conflict", or key/asc/ascq in hexadecimal.
std::string verdict_of(const Running& run) {
  if (run.command.aborted) return "aborted";
  if (run.is_good()) return "good";
  if (conflicts(run)) return "conflict";
  const scsi::SenseData sense = run.sense();
  return hexadecimal(static_cast<unsigned>(sense.key)) + "/" +
         hexadecimal(sense.additional.asc * 0x100u + sense.additional.ascq);
}

/// The rules once more, as plainly as can be: one array per property and no cleverness.
struct Oracle {
  std::array<std::uint64_t, host_count> keys{};  // 0: not registered
  std::vector<unsigned> order;                   // of registration
  unsigned type = 0;                             // 0: no reservation
  unsigned holder = 0;
  int session = -1;  // RESERVE
  std::uint32_t generation = 0;
  std::array<std::vector<unsigned>, host_count> attentions;

  bool any_registered() const { return !order.empty(); }
  bool all_hold() const { return type == 7 || type == 8; }
  bool holds(unsigned host) const { return type != 0 && keys[host] != 0 && (all_hold() || holder == host); }
  void tell(unsigned host, unsigned what) {
    auto& list = attentions[host];
    if (std::find(list.begin(), list.end(), what) == list.end()) list.push_back(what);
  }
  void tell_registered_but(unsigned host, unsigned what) {
    for (const unsigned each : order) {
      if (each != host) tell(each, what);
    }
  }
  void drop(unsigned host) {
    keys[host] = 0;
    order.erase(std::find(order.begin(), order.end(), host));
  }
  void set_key(unsigned host, std::uint64_t key) {
    if (key == 0 && keys[host] == 0) return;
    if (key != 0) {
      if (keys[host] == 0) order.push_back(host);
      keys[host] = key;
      return;
    }
    const bool was_single_holder = type != 0 && !all_hold() && holder == host;
    drop(host);
    if (was_single_holder) {
      if (type == 5 || type == 6) tell_registered_but(host, attention_released);
      type = 0;
    }
    if (order.empty()) type = 0;
  }

  std::string preempt(const Step& step) {
    const bool takes_over = type != 0 && (all_hold() ? step.action_key == 0 : keys[holder] == step.action_key);
    std::vector<unsigned> victims;
    for (const unsigned host : order) {
      const bool matches = all_hold() && step.action_key == 0 ? true : keys[host] == step.action_key;
      if (matches && !(takes_over && host == step.host)) victims.push_back(host);
    }
    if (!takes_over && step.action_key == 0) return "5/2600";
    if (!takes_over && victims.empty()) return "conflict";
    if (takes_over && step.type == 0) return "5/2400";
    for (const unsigned host : victims) {
      drop(host);
      if (host != step.host) tell(host, attention_registration);
    }
    if (takes_over) {
      if (type != step.type) tell_registered_but(step.host, attention_released);
      type = step.type;
      holder = step.host;
    }
    if (order.empty()) type = 0;
    ++generation;
    return "good";
  }

  std::string run_out(const Step& step) {
    const std::uint64_t own = keys[step.host];
    if (session >= 0) return "conflict";
    if (step.action == out_register || step.action == out_ignore) {
      if (step.action == out_register && step.key != own) return "conflict";
      set_key(step.host, step.action_key);
      ++generation;
      return "good";
    }
    if (own == 0 || own != step.key) return "conflict";
    switch (step.action) {
      case out_reserve:
        if (step.type == 0) return "5/2400";
        if (type == 0) {
          type = step.type;
          holder = step.host;
          return "good";
        }
        return holds(step.host) && type == step.type ? "good" : "conflict";
      case out_release:
        if (!holds(step.host)) return "good";
        if (type != step.type) return "5/2604";
        if (type >= 5) tell_registered_but(step.host, attention_released);
        type = 0;
        return "good";
      case out_clear:
        tell_registered_but(step.host, attention_preempted);
        keys = {};
        order.clear();
        type = 0;
        ++generation;
        return "good";
      default:
        return preempt(step);
    }
  }

  std::string run(const Step& step) {
    auto& pending = attentions[step.host];
    if (!pending.empty()) {
      const unsigned first = pending.front();
      pending.erase(pending.begin());
      return "6/" + hexadecimal(first);
    }
    const unsigned host = step.host;
    const bool has_access = type == 0 || holds(host) || (type >= 5 && keys[host] != 0);
    const bool is_kept_out = session >= 0 && session != static_cast<int>(host);
    switch (step.kind) {
      case Step::out:
        return run_out(step);
      case Step::read:
        return is_kept_out || (!has_access && type != 1 && type != 5 && type != 7) ? "conflict" : "good";
      case Step::write:
        return is_kept_out || !has_access ? "conflict" : "good";
      case Step::ready:
        return is_kept_out ? "conflict" : "good";
      case Step::reserve:
        if (any_registered()) return type != 0 && has_access && keys[host] != 0 ? "good" : "conflict";
        if (is_kept_out) return "conflict";
        session = static_cast<int>(host);
        return "good";
      default:  // release
        if (session == static_cast<int>(host)) {
          session = -1;
          return "good";
        }
        if (any_registered()) return type != 0 && has_access && keys[host] != 0 ? "good" : "conflict";
        return "good";
    }
  }

  /// For a command that was let in before anything was pending.
  std::string run_admitted(const Step& step) {
    std::vector<unsigned> pending = std::move(attentions[step.host]);
    attentions[step.host].clear();
    const std::string verdict = run(step);
    attentions[step.host] = std::move(pending);
    return verdict;
  }

  std::string state() const {
    std::string text = std::to_string(type) + ":";
    for (const unsigned host : order) {
      text += " " + std::to_string(host) + "=" + hexadecimal(keys[host]) + (holds(host) ? "*" : "");
    }
    return text;
  }
};

class Choice {
 public:
  explicit Choice(std::uint64_t seed) : engine_(seed) {}
  unsigned below(unsigned count) { return static_cast<unsigned>(engine_() % count); }

  /// Mostly what makes sense, sometimes not.
  Step step(const Oracle& oracle) {
    Step step;
    step.host = below(host_count);
    step.kind = below(10) < 6 ? Step::out : static_cast<Step::Kind>(below(Step::kinds));
    // RESERVE shuts everybody out: rare, and mostly followed by its RELEASE.
    if (step.kind == Step::reserve && below(4) != 0) step.kind = Step::release;
    if (oracle.session >= 0 && below(2) == 0) {
      step.host = static_cast<unsigned>(oracle.session);
      step.kind = Step::release;
    }
    step.action = static_cast<std::uint8_t>(below(7));
    if (below(3) == 0) step.action = out_register;
    step.key = below(8) == 0 ? below(5) : oracle.keys[step.host];
    step.action_key = below(6);
    if (step.action_key == 5) step.action_key = oracle.keys[oracle.holder];
    constexpr std::array<std::uint8_t, 7> types{1, 3, 5, 6, 7, 8, 0};
    step.type = types[below(below(8) == 0 ? 7 : 6)];
    if (step.action == out_release && below(3) != 0) step.type = static_cast<std::uint8_t>(oracle.type);
    return step;
  }

 private:
  std::mt19937_64 engine_;
};

std::unique_ptr<Running> begin(Cluster& cluster, const Step& step) {
  switch (step.kind) {
    case Step::out:
      return cluster.begin_out(step.host, step.action, step.key, step.action_key, step.type);
    case Step::read:
      return cluster.begin(step.host, cdb10(0x28, 0, 1), 512);
    case Step::write:
      return cluster.begin(step.host, cdb10(0x2a, 0, 1), 0, Bytes(512));
    case Step::reserve:
      return cluster.begin(step.host, {0x16});
    case Step::release:
      return cluster.begin(step.host, {0x17});
    default:
      return cluster.begin(step.host, {0x00});
  }
}

std::string words(const Step& step) {
  return "host " + std::to_string(step.host) + " kind " + std::to_string(step.kind) + " action " +
         std::to_string(step.action) + " key " + hexadecimal(step.key) + " action key " + hexadecimal(step.action_key) +
         " type " + std::to_string(step.type);
}

/// Through a nexus that has nothing pending and in a moment when nobody has the unit by RESERVE.
void compare_state(Cluster& cluster, const Oracle& oracle) {
  if (oracle.session >= 0) return;
  for (unsigned host = 0; host < host_count; ++host) {
    if (!oracle.attentions[host].empty()) continue;
    REQUIRE(cluster.state(host) == oracle.state());
    REQUIRE(cluster.generation(host) == oracle.generation);
    return;
  }
}

void run_one(Cluster& cluster, Oracle& oracle, const Step& step) {
  CAPTURE(words(step), oracle.state());
  const auto running = begin(cluster, step);
  cluster.step();
  REQUIRE(running->ended);
  REQUIRE(verdict_of(*running) == oracle.run(step));
}

/// Both are under way before either ends.
void run_two(Cluster& cluster, Oracle& oracle, const Step& left, const Step& right) {
  CAPTURE(words(left), words(right), oracle.state());
  const auto first = begin(cluster, left);
  const auto second = begin(cluster, right);
  cluster.step();
  REQUIRE(first->ended);
  REQUIRE(second->ended);
  Oracle left_first = oracle;
  const std::string a = left_first.run_admitted(left), b = left_first.run_admitted(right);
  Oracle right_first = oracle;
  const std::string d = right_first.run_admitted(right), c = right_first.run_admitted(left);
  const std::string x = verdict_of(*first), y = verdict_of(*second);
  CAPTURE(a, b, c, d, x, y);
  const bool is_left_first = x == a && y == b;
  REQUIRE((is_left_first || (x == c && y == d)));
  oracle = is_left_first ? left_first : right_first;
}

std::uint64_t first_seed() {
  const char* given = std::getenv("LUNARIS_TEST_SEED");
  return given == nullptr ? std::random_device{}() : std::strtoull(given, nullptr, 0);
}

}  // namespace

TEST_CASE("random reservations of several nexuses on two workers are those of an oracle",
          "[scsi][reservation][property][SCSI-3]") {
  const std::uint64_t first = first_seed();
  for (std::uint64_t seed = first; seed < first + 40; ++seed) {
    INFO("LUNARIS_TEST_SEED=" << seed);
    Cluster cluster(host_count);
    Oracle oracle;
    Choice choice(seed);
    for (unsigned count = 0; count < 150; ++count) {
      const Step step = choice.step(oracle);
      if (choice.below(8) == 0) {  // a session ends, and comes back with nothing pending but its beginning
        cluster.logout(step.host);
        cluster.login(step.host);
        oracle.attentions[step.host].clear();
        if (oracle.session == static_cast<int>(step.host)) oracle.session = -1;
      }
      run_one(cluster, oracle, step);
      compare_state(cluster, oracle);
    }
  }
}

TEST_CASE("two reservation commands at once end as one after the other would", "[scsi][reservation][property]") {
  const std::uint64_t first = first_seed();
  for (std::uint64_t seed = first; seed < first + 40; ++seed) {
    INFO("LUNARIS_TEST_SEED=" << seed);
    Cluster cluster(host_count);
    Oracle oracle;
    Choice choice(seed);
    for (unsigned count = 0; count < 100; ++count) {
      const Step left = choice.step(oracle);
      const Step right = choice.step(oracle);
      const bool is_clear_what_comes_first =
          left.host == right.host || left.kind != Step::out || right.kind != Step::out || left.action == out_abort ||
          right.action == out_abort || !oracle.attentions[left.host].empty() || !oracle.attentions[right.host].empty();
      if (is_clear_what_comes_first) {
        run_one(cluster, oracle, left);
      } else {
        run_two(cluster, oracle, left, right);
      }
      compare_state(cluster, oracle);
    }
  }
}
