// What the ledger keeps for a receiver that stands inside another archive (the Orthanc plugin):
// how far it has followed the archive, what of it could not be taken, and what became of what was.
// Threads, durability and errors are those of ledger/ledger.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "model/instance.h"

namespace isthmus {

// Something the archive holds that we cannot take: it asks for a person.
struct UntakenInstance {
  std::string archive_id;  // the archive's own, which is no patient data
  std::string code;        // "dicom.unreadable"
  std::string message;
  WallTime since;
};

// A delivery that came to rest.
struct DeliveryNews {
  std::int64_t position = 0;  // news after it come later
  Uid sop_instance_uid;
  Uid study_instance_uid;
  std::string destination;
  std::string state;          // "imported", "rejected", "quarantined" or "discarded"
  std::string reason_code;    // of the latter two
  std::string image_set_id;   // of the first
  std::string import_job_id;  // the service's, of the last job that named it; may be empty
  WallTime at;
};

struct NewsPage {
  std::vector<DeliveryNews> news;  // in the order in which it happened
  // Nothing of this receiver up to here is missing from what was read: the next `after`.
  std::int64_t reached = 0;
};

class ReceiverRows {
 public:
  virtual ~ReceiverRows() = default;

  // Where a reader called `name` stands, in words of its own; nothing before the first keep().
  virtual Result<std::optional<std::string>> mark(std::string_view name) = 0;
  virtual Result<void> keep_mark(std::string_view name, std::string_view value) = 0;

  // Replaces what is known of the same archive id, but for its date. Forgetting what is not known
  // succeeds.
  virtual Result<void> note_untaken(const UntakenInstance& untaken) = 0;
  virtual Result<void> forget_untaken(std::string_view archive_id) = 0;
  // The oldest first.
  virtual Result<std::vector<UntakenInstance>> untaken(std::size_t limit) = 0;

  // What came to rest after a position (0: from the beginning), of instances that came by this
  // receiver. Looks at a bounded number of events: an empty page that reached further than `after`
  // is not the end.
  virtual Result<NewsPage> news(std::string_view receiver, std::int64_t after,
                                std::size_t limit) = 0;
};

}  // namespace isthmus
