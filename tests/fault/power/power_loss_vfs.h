// A disk for SQLite that loses what was not synced: a VFS in memory, the default one while it
// lives.
//
// What it promises is what SQLite counts on (sqlite.org/atomiccommit.html, section 2): bytes
// survive xSync; the creation of a journal or log survives its own first xSync, because SQLite's
// unix VFS syncs the directory then, and so do all names of that directory; a removal survives only
// then or when xDelete asks for it. Nothing else survives for certain; of the rest a cut keeps a
// random part, page by page, or nothing. Locks and the shared memory of the log's index work
// between the connections of one process, which is all that the ledger has.
//
// As with PowerLossFiles, files opened before a cut are dead, and nothing opens before power_on().
#pragma once

#include <cstdint>
#include <memory>

#include "support/power_loss_files.h"

namespace isthmus::test {

class PowerLossVfs {
 public:
  PowerLossVfs();
  ~PowerLossVfs();  // no connection may be open
  PowerLossVfs(const PowerLossVfs&) = delete;
  PowerLossVfs& operator=(const PowerLossVfs&) = delete;

  void cut_power(PowerCut cut);
  void power_on();
  // The cut comes in place of the `nth` (1 is the next) write, truncation, sync, creation or
  // removal.
  void cut_power_at(std::uint64_t nth_change, PowerCut cut);
  std::uint64_t changes() const;
  // A disk that lies about the syncs of the write-ahead log: what a database at synchronous=NORMAL
  // leaves out.
  void ignore_log_syncs(bool ignore);

  struct Disk;  // in the .cc, with the functions that SQLite calls

 private:
  std::unique_ptr<Disk> disk_;
};

}  // namespace isthmus::test
