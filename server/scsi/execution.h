// Execution: one command on its way through its handler; what every handler is given.
#pragma once

#include <cstdint>
#include <optional>

#include "protocol/scsi/cdb.h"
#include "protocol/scsi/sense.h"
#include "server/scsi/command.h"
#include "server/scsi/nexus_state.h"
#include "server/scsi/unit_state.h"
#include "server/volume/volume.h"

namespace lunaris::scsi_server {

struct CommandRow;

/// Lives in the frame of Nexus::execute. `unit` is null only for rows with `without_unit`; `pass` is there for every
/// row without `without_medium`, and `blocks` is decoded and in range for every row with `names_blocks`.
struct Execution {
  Execution(Command& the_command, Nexus& the_nexus, Nexus::Implementation& state) noexcept
      : command(the_command), nexus(the_nexus), nexus_state(state), worker(state.worker) {}

  Command& command;
  Nexus& nexus;
  Nexus::Implementation& nexus_state;
  runtime::Worker& worker;
  const CommandRow* row = nullptr;
  UnitNexus* unit = nullptr;
  TaskEntry* entry = nullptr;              // in the unit's task set, while the handler runs
  std::optional<volume::Port::Pass> pass;  // not held while the command waits for its turn
  scsi::BlockCdb blocks;
  scsi::ModeSettings settings;       // the unit's, as they were when the command's turn came
  bool has_exclusive_range = false;  // device calls are made under the command's own volume::ExclusiveRange

  [[nodiscard]] bool aborted() const noexcept { return command.aborted; }
  [[nodiscard]] volume::Port& port() const noexcept { return pass->port(); }
  /// With a pass, the view the command runs under; else the last one that is known, good until the next suspension.
  [[nodiscard]] const volume::View& view() const noexcept;
  [[nodiscard]] backends::BlockChannel& channel() const noexcept { return pass->port().channel(); }
  [[nodiscard]] volume::Volume& volume() const noexcept { return unit->state().volume(); }
  [[nodiscard]] const backends::Geometry& geometry() const noexcept { return unit->state().geometry(); }
  [[nodiscard]] bool is_write_protected() const noexcept {
    return view().read_only || unit->is_read_only() || settings.software_write_protect;
  }
  [[nodiscard]] std::uint64_t byte_offset(std::uint64_t lba) const noexcept { return lba * view().block_bytes; }

  /// Takes part in the volume's newest view, unless the volume is closing.
  void enter_volume() {
    volume::Port* const port = unit->port();
    if (port == nullptr) return;
    if (std::optional<volume::Port::Pass> entered = port->enter()) pass.emplace(std::move(*entered));
  }

  // --- outcomes: the last one set is the command's ------------------------------------------------------------------
  void check_condition(const scsi::SenseData& data) noexcept {
    command.status = scsi::Status::check_condition;
    command.sense.encode(data, settings.descriptor_sense ? scsi::SenseFormat::descriptor : scsi::SenseFormat::fixed);
    command.data_in_length = 0;
  }
  void check_condition(scsi::SenseKey key, scsi::AdditionalSense additional) noexcept {
    check_condition(scsi::SenseData{.key = key, .additional = additional, .information = {}, .field = {}});
  }
  void illegal_request(scsi::AdditionalSense additional) noexcept {
    check_condition(scsi::SenseKey::illegal_request, additional);
  }
  /// INVALID FIELD IN CDB with a field pointer; `bit` is the leftmost wrong bit.
  void invalid_field(std::uint16_t byte, std::optional<std::uint8_t> bit = std::nullopt) noexcept {
    check_condition(scsi::SenseData{.key = scsi::SenseKey::illegal_request,
                                    .additional = scsi::additional_sense::invalid_field_in_cdb,
                                    .information = {},
                                    .field = scsi::FieldPointer{.in_cdb = true, .byte = byte, .bit = bit}});
  }
};

inline const volume::View& Execution::view() const noexcept {
  static const volume::View unreachable;
  if (pass) return pass->view();
  volume::Port* const reached = unit->port();
  return reached == nullptr ? unreachable : reached->view();
}

}  // namespace lunaris::scsi_server
