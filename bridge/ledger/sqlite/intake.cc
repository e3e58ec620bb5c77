// What receivers and the spool ask of the ledger.
#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

#include <algorithm>

namespace isthmus {
namespace {

// What decides whether an instance with a known UID is the known one, a conflict or worse.
struct Known {
  std::optional<InstanceId> same;   // same UID, same bytes
  std::optional<InstanceId> first;  // the first with this UID
  bool other_identity = false;      // … is of another study or patient
};

Result<Known> look_up(sql::Database& db, const Arrival& arrival, const std::string& patient_hash) {
  const Uid& uid = arrival.identity.sop_instance_uid;
  Known known;
  TRY_ASSIGN(const auto first, db.query_text(statement::first_with_uid, {uid}));
  if (!first) return known;
  TRY_ASSIGN(const auto same,
             db.query_text(statement::same_instance, {uid, arrival.dataset_digest}));
  known.same = optional_id_from<InstanceId>(same);
  if (known.same) return known;
  known.first = optional_id_from<InstanceId>(first);
  TRY_ASSIGN(sql::Statement row, db.query(statement::identity_of, {*first}));
  TRY_ASSIGN(const bool found, row.next());
  known.other_identity = !found || row.text(0) != arrival.identity.study_instance_uid.text() ||
                         row.text(1) != patient_hash;
  return known;
}

}  // namespace

// Under a key that never leaves the ledger: the hash tells whether two patients are the same one,
// and nothing else to anybody who sees it.
std::string SqliteLedger::hash_of_patient_id(std::string_view patient_id) const {
  return hmac_sha256(patient_key_, as_bytes(patient_id)).hex();
}

std::string SqliteLedger::hash_of_patient(const Arrival& arrival) const {
  return hash_of_patient_id(arrival.identity.patient_id);
}

Result<Receipt> SqliteLedger::record(const Arrival& arrival, Durable* bytes) {
  const std::string patient_hash = hash_of_patient(arrival);
  Receipt receipt;
  Commit commit;
  commit.is_intake = true;
  commit.bytes = bytes;
  commit.body = [&](Write& write) -> Result<void> {
    TRY_ASSIGN(receipt, record_one(write, arrival, patient_hash));
    return {};
  };
  TRY(hand_over(commit));
  return receipt;
}

bool SqliteLedger::waits_for_a_person(const std::string& destination) const {
  const std::vector<std::string>& those = options_.quarantine_conflicts_at;
  return std::find(those.begin(), those.end(), destination) != those.end();
}

Result<Receipt> SqliteLedger::record_one(Write& write, const Arrival& arrival,
                                         const std::string& patient_hash) {
  TRY_ASSIGN(const Known known, look_up(write.db, arrival, patient_hash));
  if (known.same) return Receipt{*known.same, true};
  TRY(insert_instance(write, arrival, patient_hash, known.first, known.other_identity));
  for (const std::string& destination : destinations_of(arrival, options_.destinations)) {
    TRY_ASSIGN(DeliveryRow delivery, insert_delivery(write, arrival.id, destination));
    const bool is_held_back = known.first && waits_for_a_person(destination);
    if (!known.other_identity && !is_held_back) continue;
    const Error why =
        known.other_identity
            ? permanent_error(
                  "identity_conflict",
                  "An instance with this SOP Instance UID is known from another study or patient; "
                  "compare the two, then order a retry to deliver this one as well.")
            : permanent_error("conflict",
                              "An instance with this SOP Instance UID and other bytes is known; "
                              "compare the two, "
                              "then order a retry to deliver this one as well.");
    delivery.set_reason(why);
    TRY(apply(write, delivery, DeliveryEvent::input_unusable, &why));
  }
  return Receipt{arrival.id, false};
}

Result<bool> SqliteLedger::has_instance(const InstanceId& id) {
  return read([&](sql::Database& db) -> Result<bool> {
    TRY_ASSIGN(const auto found, db.query_integer(statement::has_instance, {id}));
    return found.has_value();
  });
}

Result<std::optional<Instance>> SqliteLedger::instance(const InstanceId& id) {
  return read([&](sql::Database& db) -> Result<std::optional<Instance>> {
    TRY_ASSIGN(const auto rows, collect(db.query(statement::load_instance, {id}), instance_of));
    if (rows.empty()) return std::optional<Instance>();
    return std::optional(rows.front());
  });
}

}  // namespace isthmus
