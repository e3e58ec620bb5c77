// What became of an instance, told in Orthanc's own terms; when it is wanted, its patient protected
// until the import (protection.h), and Orthanc's copy deleted after it.
//
// Two readers of the ledger's news (ledger/receiver_rows.h), each with a mark of its own. The first
// writes user metadata on instances, series and studies. The second follows behind by the retention
// and deletes what is imported: only when every copy under this UID is, and only when the bytes
// that Orthanc holds now are those of one of them. Both do a piece again after a restart, which
// does no harm.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread.h"
#include "ledger/ledger.h"
#include "ledger/receiver_rows.h"
#include "plugin/archive.h"
#include "plugin/protection.h"

namespace isthmus::plugin {

struct FollowupOptions {
  Milliseconds poll{2'000};
  // Numbers of the metadata: state, image set id, import job id are this, the next and the one
  // after it. 0: none is written.
  std::int64_t first_metadata = 0;
  // Number of the metadata on patients that we protect. 0: none is protected.
  std::int64_t protection_metadata = 0;
  bool protects_existing = false;  // what Orthanc holds at the first start, too
  bool delete_imported = false;
  Milliseconds retention{0};
};

// "imported"; "rejected" or "quarantined" (then it asks for a person); "on_way"; "discarded". Of
// all deliveries of all these instances.
std::string_view state_of(const std::vector<InstanceView>& instances);

// Metrics: orthanc_deleted_total, orthanc_kept_total{reason}.
class Followup {
 public:
  // References must outlive it.
  Followup(Env& env, Archive& archive, Ledger& ledger, FollowupOptions options);
  ~Followup() { stop(); }

  // As Feed.
  void start();
  void stop();
  void begin_to_stop();

  // One bounded piece of work of both; gives how long nothing is to be done.
  Milliseconds run_once();

 private:
  // Each gives whether there is more at once.
  Result<bool> guard();
  Result<bool> tell();
  Result<bool> clear();
  Result<void> tell_of(const DeliveryNews& news);
  Result<void> tell_of_study(const Uid& study);
  Result<void> put(const std::string& resource, std::int64_t which, std::string_view value);
  Result<void> delete_copy(const DeliveryNews& news);
  // Why Orthanc's copy has to stay; empty: it may go.
  Result<std::string_view> reason_to_keep(const std::string& archive_id,
                                          const std::vector<InstanceView>& held);
  // Orthanc's ids of what has this UID.
  Result<std::vector<std::string>> look_up(const Uid& uid, std::string_view kind);
  Result<std::int64_t> mark(const char* name);

  Env& env_;
  Archive& archive_;
  Ledger& ledger_;
  const FollowupOptions options_;
  std::optional<Protection> protection_;
  Counter& deleted_;
  int waits_ = 0;  // in a row, after errors

  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::plugin
