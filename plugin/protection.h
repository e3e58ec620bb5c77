// Patients whose instances are on their way are protected in Orthanc, so that Orthanc does not
// recycle them (MaximumStorageSize, MaximumPatientCount) before they are imported.
//
// Whom we protected is known by user metadata on the patient: Orthanc's database holds both, and
// loses, restores and deletes them together. Whom a person protected stays protected. A patient is
// let go when each instance that Orthanc holds of it is known to the ledger and is imported
// everywhere, or was discarded by a person. What is rejected, in quarantine or could not be taken
// keeps its patient protected.
//
// Two readers with marks of their own: Orthanc's /changes tells what came, the ledger's news what
// was imported. One thread calls both, in this order, so that what is imported in between is seen
// by the second. Both do a piece again after a restart, which does no harm.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/env.h"
#include "ledger/ledger.h"
#include "plugin/archive.h"

namespace isthmus::plugin {

struct ProtectionOptions {
  // Number of the metadata that says that we protected the patient.
  std::int64_t metadata = 0;
  // At the first start: also what Orthanc holds already, because it will be taken.
  bool from_the_beginning = false;
};

// Metrics: orthanc_protected_total, orthanc_unprotected_total. One thread.
class Protection {
 public:
  // References must outlive it.
  Protection(Env& env, Archive& archive, Ledger& ledger, ProtectionOptions options);

  // One bounded piece of work; gives whether there is more at once. Errors of Orthanc and of the
  // ledger; then the same is done again at the next call.
  Result<bool> protect_arrived();
  Result<bool> release_imported();

  // Whether it is protected because we did so. `patient` is Orthanc's id. Errors of Orthanc.
  Result<bool> is_ours(const std::string& patient);

 private:
  // False while nobody knows which database this is.
  Result<bool> find_position();
  Result<void> protect_patient_of(const std::string& instance);
  Result<void> protect(const std::string& patient);
  Result<void> release(const std::string& patient);
  // Whether nothing of it is on its way any more.
  Result<bool> is_through(const std::string& patient);
  std::string metadata_of(const std::string& patient) const;
  std::string switch_of(const std::string& patient) const;

  Env& env_;
  Archive& archive_;
  Ledger& ledger_;
  const ProtectionOptions options_;
  Counter& protected_;
  Counter& unprotected_;
  std::string database_;
  std::optional<std::int64_t> position_;  // in /changes
  std::optional<std::int64_t> kept_position_;
  std::set<std::string> known_;  // protected by us or by a person when they were looked at
};

}  // namespace isthmus::plugin
