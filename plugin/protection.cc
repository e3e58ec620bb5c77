#include "plugin/protection.h"

#include <algorithm>

#include "ledger/receiver_rows.h"
#include "plugin/answers.h"

namespace isthmus::plugin {
namespace {

constexpr const char* kArrivedMark = "orthanc.protected";
constexpr const char* kReleasedMark = "orthanc.unprotected";
constexpr const char* kReceiver = "orthanc";
constexpr int kChangesAtOnce = 200;
constexpr std::size_t kEventsAtOnce = 2'000;
constexpr std::size_t kCopiesAtMost = 1'000;
constexpr std::size_t kKnownAtMost = 10'000;

bool is_gone(const Error& error) {
  return error.code == "orthanc.not_found";
}

// Imported everywhere, or given up by a person; what goes nowhere, too.
bool is_done(const std::vector<InstanceView>& held) {
  return !held.empty() && std::all_of(held.begin(), held.end(), [](const InstanceView& view) {
    return std::all_of(view.deliveries.begin(), view.deliveries.end(), [](const Delivery& one) {
      return one.state == DeliveryState::imported || one.state == DeliveryState::discarded;
    });
  });
}

}  // namespace

Protection::Protection(Env& env, Archive& archive, Ledger& ledger, ProtectionOptions options)
    : env_(env),
      archive_(archive),
      ledger_(ledger),
      options_(options),
      protected_(env.metrics.counter("orthanc_protected_total",
                                     "Patients protected in Orthanc while something is on its "
                                     "way")),
      unprotected_(env.metrics.counter("orthanc_unprotected_total",
                                       "Patients let go in Orthanc after their import")) {}

std::string Protection::metadata_of(const std::string& patient) const {
  return "/patients/" + patient + "/metadata/" + std::to_string(options_.metadata);
}

std::string Protection::switch_of(const std::string& patient) const {
  return "/patients/" + patient + "/protected";
}

Result<bool> Protection::is_ours(const std::string& patient) {
  const auto note = archive_.get(metadata_of(patient));
  if (note.ok()) return true;
  if (is_gone(note.error()) || note.error().code == "orthanc.refused") return false;
  return note.error();
}

// --- what came ----------------------------------------------------------------------------------

// The feed's note says which database this is, and about how far it was when it was last saved
// (feed.h): a mark of another one is worth nothing, one beyond it is of what a back-up undid.
Result<bool> Protection::find_position() {
  TRY_ASSIGN(const std::string note, archive_.note());
  const auto space = note.find(' ');
  if (space == std::string::npos) return false;
  database_ = note.substr(0, space);
  const std::int64_t feed_was_at = std::strtoll(note.c_str() + space + 1, nullptr, 10);
  TRY_ASSIGN(const auto mark, ledger_.receiver_rows().mark(kArrivedMark));
  if (mark && mark->starts_with(database_ + " ")) {
    position_ =
        std::min<std::int64_t>(feed_was_at, std::strtoll(mark->c_str() + space + 1, nullptr, 10));
  } else {
    position_ = mark || options_.from_the_beginning ? 0 : feed_was_at;
  }
  return true;
}

Result<bool> Protection::protect_arrived() {
  if (!position_) {
    TRY_ASSIGN(const bool is_known, find_position());
    if (!is_known) return false;  // the feed has not begun
  }
  TRY_ASSIGN(const std::string text, archive_.get("/changes?since=" + std::to_string(*position_) +
                                                  "&limit=" + std::to_string(kChangesAtOnce)));
  TRY_ASSIGN(const ChangesAnswer answer, changes_in(text));
  for (const auto& [position, instance] : answer.new_instances) TRY(protect_patient_of(instance));
  const std::int64_t reached = std::max(*position_, answer.reached);
  if (reached != kept_position_) {
    TRY(ledger_.receiver_rows().keep_mark(kArrivedMark, database_ + " " + std::to_string(reached)));
    kept_position_ = reached;
  }
  position_ = reached;
  return !answer.done;
}

// What the ledger does not know yet will be taken: it is on its way as well.
Result<void> Protection::protect_patient_of(const std::string& instance) {
  const auto shown = archive_.get("/instances/" + instance);
  if (!shown.ok() && is_gone(shown.error())) return {};
  if (!shown.ok()) return shown.error();
  TRY_ASSIGN(const std::string uid, sop_instance_uid_in(*shown));
  TRY_ASSIGN(const auto held, ledger_.instances(uid, kCopiesAtMost));
  if (is_done(held)) return {};
  const auto found = archive_.get("/instances/" + instance + "/patient");
  if (!found.ok() && is_gone(found.error())) return {};
  if (!found.ok()) return found.error();
  TRY_ASSIGN(const std::string patient, own_id_in(*found));
  if (known_.contains(patient)) return {};
  const auto done = protect(patient);
  if (!done.ok() && is_gone(done.error())) return {};
  if (!done.ok()) return done.error();
  if (known_.size() >= kKnownAtMost) known_.clear();  // then they are asked after again
  known_.insert(patient);
  return {};
}

// The note first: killed in between, the same is done again.
Result<void> Protection::protect(const std::string& patient) {
  TRY_ASSIGN(const bool is_ours_already, is_ours(patient));
  TRY_ASSIGN(const std::string is_protected, archive_.get(switch_of(patient)));
  if (is_protected != "0") return {};
  if (!is_ours_already) TRY(archive_.put(metadata_of(patient), "isthmus"));
  TRY(archive_.put(switch_of(patient), "1"));
  protected_.add();
  env_.log.info("orthanc.protected", {{"archive_id", patient}});
  return {};
}

// --- what was imported --------------------------------------------------------------------------

Result<bool> Protection::release_imported() {
  TRY_ASSIGN(const auto mark, ledger_.receiver_rows().mark(kReleasedMark));
  const std::int64_t after = mark ? std::strtoll(mark->c_str(), nullptr, 10) : 0;
  TRY_ASSIGN(const NewsPage page, ledger_.receiver_rows().news(kReceiver, after, kEventsAtOnce));
  std::set<std::string> patients;
  for (const DeliveryNews& news : page.news) {
    if (news.state != "imported" && news.state != "discarded") continue;
    TRY_ASSIGN(const std::string found,
               archive_.post("/tools/lookup", news.sop_instance_uid.text()));
    TRY_ASSIGN(const auto instances, looked_up_in(found, "Instance"));
    for (const std::string& instance : instances) {
      const auto shown = archive_.get("/instances/" + instance + "/patient");
      if (!shown.ok() && is_gone(shown.error())) continue;
      if (!shown.ok()) return shown.error();
      TRY_ASSIGN(const std::string patient, own_id_in(*shown));
      patients.insert(patient);
    }
  }
  for (const std::string& patient : patients) {
    const auto done = release(patient);
    if (!done.ok() && !is_gone(done.error())) return done.error();
  }
  if (page.reached == after) return false;
  TRY(ledger_.receiver_rows().keep_mark(kReleasedMark, std::to_string(page.reached)));
  return true;
}

// The note last: killed in between, the same is done again.
Result<void> Protection::release(const std::string& patient) {
  known_.erase(patient);  // a person may protect and unprotect: the next arrival asks
  TRY_ASSIGN(const bool is_ours_to_release, is_ours(patient));
  if (!is_ours_to_release) return {};
  TRY_ASSIGN(const bool through, is_through(patient));
  if (!through) return {};
  TRY(archive_.put(switch_of(patient), "0"));
  TRY(archive_.remove(metadata_of(patient)));
  unprotected_.add();
  env_.log.info("orthanc.unprotected", {{"archive_id", patient}});
  return {};
}

Result<bool> Protection::is_through(const std::string& patient) {
  TRY_ASSIGN(const std::string text, archive_.get("/patients/" + patient + "/instances"));
  TRY_ASSIGN(const std::vector<std::string> uids, sop_instance_uids_in(text));
  for (const std::string& uid : uids) {
    TRY_ASSIGN(const auto held, ledger_.instances(uid, kCopiesAtMost));
    if (!is_done(held)) return false;
  }
  return true;
}

}  // namespace isthmus::plugin
