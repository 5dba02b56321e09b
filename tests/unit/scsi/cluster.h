// Cluster: several initiators on one disk, on two workers with the disk's owner on a third; for tests of reservations.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/scsi/reservation_data.h"
#include "tests/unit/scsi/target.h"

namespace lunaris::test {

/// PERSISTENT RESERVE OUT service actions and the bits of the basic parameter list's byte 20.
enum Out : std::uint8_t {
  out_register,
  out_reserve,
  out_release,
  out_clear,
  out_preempt,
  out_abort,
  out_ignore,
  out_move,
  out_replace
};
constexpr std::uint8_t spec_i_pt = 0x08, all_tg_pt = 0x04, aptpl = 0x01;

inline Bytes reserve_out_cdb(std::uint8_t action, std::uint8_t scope_and_type, std::size_t length = 24) {
  Bytes cdb(10);
  cdb[0] = 0x5f;
  cdb[1] = action;
  cdb[2] = scope_and_type;
  scsi::store32(cdb, 5, length);
  return cdb;
}

inline Bytes reserve_out_list(std::uint64_t key, std::uint64_t action_key, std::uint8_t flags = 0) {
  Bytes list(24);
  scsi::store64(list, 0, key);
  scsi::store64(list, 8, action_key);
  list[20] = flags;
  return list;
}

inline Bytes reserve_in_cdb(std::uint8_t action, std::uint16_t length = 0xffff) {
  Bytes cdb(10);
  cdb[0] = 0x5e;
  cdb[1] = action;
  scsi::store16(cdb, 7, length);
  return cdb;
}

/// With SPEC_I_PT: the TransportIDs behind the basic list.
inline Bytes with_ports(Bytes list, const std::vector<std::string>& names) {
  Bytes ids;
  for (const std::string& name : names) scsi::append_transport_id(ids, name);
  list[20] |= spec_i_pt;
  list.resize(28);
  scsi::store32(list, 24, ids.size());
  list.insert(list.end(), ids.begin(), ids.end());
  return list;
}

class Cluster {
 public:
  explicit Cluster(unsigned hosts = 3, runtime::FileOps* files = nullptr) : files_(files), hosts_(hosts) { start(); }
  ~Cluster() { stop(); }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  static std::string initiator(unsigned host) {
    return "iqn.2026-01.io.example:host" + std::to_string(host) + ",i,0x00023d00000" + std::to_string(host % 10);
  }
  SteppedWorker& worker_of(unsigned host) { return host % 2 == 0 ? even : odd; }
  scsi_server::Nexus& nexus(unsigned host) { return *nexuses_.at(host); }
  void step() { settle({&even, &odd, &management}); }

  void login(unsigned host, std::uint16_t port = 1) {
    SteppedWorker& worker = worker_of(host);
    nexuses_[host] = worker.call([&] {
      scsi_server::NexusIdentity identity = identity_of("");
      identity.initiator_port = initiator(host);
      identity.target_port.back() = static_cast<char>('0' + port);
      identity.relative_target_port = port;
      return std::make_unique<scsi_server::Nexus>(*worker, identity, map_);
    });
    REQUIRE(run(host, {0x00})
                ->failed_with(scsi::SenseKey::unit_attention,
                              scsi::additional_sense::power_on_reset_or_bus_device_reset_occurred));
  }
  void logout(unsigned host) {
    worker_of(host).start(nexuses_.at(host)->close());
    step();
    worker_of(host).call([&] { nexuses_.erase(host); });
  }
  /// A new process on the same folder: what is not stored is gone.
  void restart() {
    stop();
    start();
  }
  void start() {
    disk = std::make_unique<Disk>(management, thin_geometry(), view_of(std::uint64_t{1} << 20));
    problem.clear();
    if (files_ != nullptr) problem = disk->volume->keep_reservations(*files_, "/data/reservations", "v");
    auto luns = std::make_shared<scsi_server::LunMap>();
    luns->entries[0] = {disk->unit, false};
    luns->target_ports = {1, 2};
    map_ = luns;
    for (unsigned host = 0; host < hosts_; ++host) login(host);
  }
  void stop() {
    while (!nexuses_.empty()) logout(nexuses_.begin()->first);
    management.start(disk->volume->close());
    step();
    REQUIRE(management.running() + even.running() + odd.running() == 0);
    map_.reset();
    disk.reset();
  }

  std::unique_ptr<Running> begin(unsigned host, Bytes cdb, std::uint32_t in = 0, Bytes out = {}) {
    auto running = std::make_unique<Running>(*worker_of(host), std::move(cdb), in, std::move(out));
    worker_of(host).start(run_to_its_end(nexus(host), *running));
    return running;
  }
  std::unique_ptr<Running> run(unsigned host, Bytes cdb, std::uint32_t in = 0, Bytes out = {}) {
    auto running = begin(host, std::move(cdb), in, std::move(out));
    step();
    REQUIRE(running->ended);
    return running;
  }
  std::unique_ptr<Running> begin_out(unsigned host, std::uint8_t action, std::uint64_t key, std::uint64_t action_key,
                                     std::uint8_t type = 0, std::uint8_t flags = 0) {
    return begin(host, reserve_out_cdb(action, type), 0, reserve_out_list(key, action_key, flags));
  }
  std::unique_ptr<Running> out(unsigned host, std::uint8_t action, std::uint64_t key, std::uint64_t action_key,
                               std::uint8_t type = 0, std::uint8_t flags = 0) {
    auto running = begin_out(host, action, key, action_key, type, flags);
    step();
    REQUIRE(running->ended);
    return running;
  }
  /// With a parameter list of one's own.
  std::unique_ptr<Running> out(unsigned host, std::uint8_t action, std::uint8_t type, const Bytes& list) {
    return run(host, reserve_out_cdb(action, type, list.size()), 0, list);
  }
  std::unique_ptr<Running> read(unsigned host) { return run(host, cdb10(0x28, 0, 1), 512); }
  std::unique_ptr<Running> write(unsigned host) { return run(host, cdb10(0x2a, 0, 1), 0, Bytes(512)); }

  /// Everything PERSISTENT RESERVE IN says, in words: "5: 0=a* 1=b" is type 5, host 0 holds it with key a.
  std::string state(unsigned through = 0);
  std::uint32_t generation(unsigned through = 0) {
    return scsi::load32(run(through, reserve_in_cdb(0), 0xffff)->mover.data_in, 0);
  }

  SteppedWorker even{0};
  SteppedWorker odd{1};
  SteppedWorker management{2};
  std::unique_ptr<Disk> disk;
  std::string problem;

 private:
  runtime::FileOps* files_;
  unsigned hosts_;
  std::map<unsigned, std::unique_ptr<scsi_server::Nexus>> nexuses_;
  std::shared_ptr<const scsi_server::LunMap> map_;
};

inline std::string hexadecimal(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(value));
  return text.data();
}

inline std::string Cluster::state(unsigned through) {
  const Bytes keys = run(through, reserve_in_cdb(0), 0xffff)->mover.data_in;
  const Bytes held = run(through, reserve_in_cdb(1), 0xffff)->mover.data_in;
  const Bytes full = run(through, reserve_in_cdb(3), 0xffff)->mover.data_in;
  REQUIRE(scsi::load32(keys, 4) == keys.size() - 8);
  REQUIRE(scsi::load32(full, 4) == full.size() - 8);
  REQUIRE((held.size() == 8 || held.size() == 24));
  for (const Bytes* each : {&held, &full}) REQUIRE(scsi::load32(*each, 0) == scsi::load32(keys, 0));
  const unsigned type = held.size() == 24 ? held[21] : 0u;
  std::string text = std::to_string(type) + ":";
  std::size_t index = 8;
  for (std::size_t at = 8; at < full.size(); index += 8) {
    const std::uint64_t key = scsi::load64(full, at);
    REQUIRE(scsi::load64(keys, index) == key);
    const bool is_holder = (full[at + 12] & 1) != 0;
    if (is_holder) REQUIRE(full[at + 13] == type);
    if (is_holder) REQUIRE(scsi::load64(held, 8) == (type >= 7 ? 0 : key));
    const auto id = scsi::find_transport_id(std::span(full).subspan(at + 24));
    REQUIRE(id.has_value());
    REQUIRE(id->size_bytes == scsi::load32(full, at + 20));
    const std::string name = id->id.name.substr(std::string("iqn.2026-01.io.example:host").size());
    const unsigned port = scsi::load16(full, at + 18);
    text += " " + name.substr(0, name.find(',')) + (port == 1 ? "" : "@" + std::to_string(port)) + "=" +
            hexadecimal(key) + (is_holder ? "*" : "");
    at += 24 + id->size_bytes;
  }
  REQUIRE(index == keys.size());
  return text;
}

inline bool conflicts(const Running& run) {
  return run.ended && !run.command.aborted && run.command.status == scsi::Status::reservation_conflict &&
         run.command.sense.empty();
}
inline bool has_attention(const Running& run, scsi::AdditionalSense condition) {
  return run.failed_with(scsi::SenseKey::unit_attention, condition);
}

}  // namespace lunaris::test
