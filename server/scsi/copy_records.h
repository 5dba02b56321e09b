// CopyRecords: what RECEIVE COPY RESULTS can be asked about, per nexus and copy manager (SPC-4 5.17.4.3).
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "protocol/scsi/third_party_copy.h"
#include "server/scsi/limits.h"

namespace lunaris::scsi_server {

struct CopyRecord {
  std::uint8_t list_identifier = 0;
  scsi::CopyProgress progress;
  std::vector<std::uint8_t> sense;  // of a copy that failed
};

/// Belongs to the session's worker. The records stay where they are until they are removed; those of copies that have
/// ended give way to new ones.
class CopyRecords {
 public:
  [[nodiscard]] CopyRecord* find(std::uint8_t list_identifier) noexcept {
    for (CopyRecord& record : records_) {
      if (record.list_identifier == list_identifier) return &record;
    }
    return nullptr;
  }
  /// Null when as many copies as there may be are in progress. The identifier is not in use by one of them.
  [[nodiscard]] CopyRecord* add(std::uint8_t list_identifier) {
    std::erase_if(records_, [&](const CopyRecord& record) { return record.list_identifier == list_identifier; });
    for (auto record = records_.begin(); records_.size() >= concurrent_copies_max && record != records_.end();) {
      const bool ended = record->progress.status != scsi::CopyManagerStatus::in_progress;
      record = ended ? records_.erase(record) : std::next(record);
    }
    if (records_.size() >= concurrent_copies_max) return nullptr;
    return &records_.emplace_back(CopyRecord{.list_identifier = list_identifier, .progress = {}, .sense = {}});
  }
  void remove(const CopyRecord& gone) noexcept {
    std::erase_if(records_, [&](const CopyRecord& record) { return &record == &gone; });
  }

 private:
  std::list<CopyRecord> records_;
};

}  // namespace lunaris::scsi_server
