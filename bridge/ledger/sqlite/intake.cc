// What receivers and the spool ask of the ledger.
#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

#include <algorithm>

namespace isthmus {

// What else is known under an instance's UID.
struct Clash {
  bool other_bytes = false;
  bool other_identity = false;  // another study or patient
};

namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

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

// An instance that is received once more.
struct KnownRow {
  std::string spool_ref;
  bool is_going = false;  // its bytes are freed, or claimed for that
  Clash clash;
};

struct Had {
  DeliveryId id;
  std::string destination;
  bool is_discarded = false;
};

Had had_of(sql::Columns columns) {
  Had had;
  had.id = id_from<DeliveryId>(columns.text());
  had.destination = columns.text();
  had.is_discarded = columns.text() == to_string(DeliveryState::discarded);
  return had;
}

Result<KnownRow> load_known(sql::Database& db, const InstanceId& id) {
  TRY_ASSIGN(const auto rows,
             collect(db.query(statement::known_instance, {id}), [](sql::Columns columns) {
               KnownRow row;
               row.spool_ref = columns.text();
               row.is_going = columns.boolean();
               row.clash.other_identity = columns.boolean();
               row.clash.other_bytes = columns.boolean();
               return row;
             }));
  if (rows.empty()) return not_found("instance");
  return rows.front();
}

// A person decided that this is not to be imported; its sender has it still, and sends it again.
// The sender hears success: the bytes are kept, and a person is asked once more.
Result<void> reopen(Write& write, const DeliveryId& id) {
  TRY_ASSIGN(DeliveryRow row, load_delivery(write.db, id));
  const Error why = permanent_error("discarded_before",
                                    "It was discarded and has come again (before: " + row.reason +
                                        "); order a retry to deliver it, or discard it again.");
  row.set_reason(why);
  return apply(write, row, DeliveryEvent::received_again, &why);
}

// What the spool held turned out to be gone or damaged when it was needed, and here it is again:
// the row takes the new bytes, and whoever waits for them goes on. The old ones, if there are any,
// are not named any more: the next start lets them go. True when it was so.
Result<bool> replace_lost_bytes(Write& write, const InstanceId& known, const Arrival& arrival) {
  TRY_ASSIGN(const auto lacking,
             collect(write.db.query(statement::deliveries_without_bytes, {known}),
                     [](sql::Columns columns) { return id_from<DeliveryId>(columns.text()); }));
  if (lacking.empty()) return false;
  TRY(write.db.run(statement::replace_bytes,
                   {arrival.spool_ref.text, arrival.transfer_syntax_uid, arrival.size_bytes,
                    arrival.dataset_offset_bytes, arrival.file_digest, known}));
  const Error why = permanent_error("bytes_replaced", "");
  TRY(note(write, "instance", known.text(), "received_again", "", "received", &why));
  for (const DeliveryId& delivery : lacking) TRY(retry_delivery(write, delivery));
  return true;
}

}  // namespace

// Under a key that never leaves the ledger: the hash tells whether two patients are the same one,
// and nothing else to anybody who sees it.
std::string SqliteLedger::hash_of_patient_id(std::string_view patient_id) const {
  return hmac_sha256(patient_key_, as_bytes(patient_id)).hex();
}

KeyedHashes SqliteLedger::hashes_of(const Identity& identity) const {
  KeyedHashes hashes{hash_of_patient_id(identity.patient_id), ""};
  if (!identity.accession_number.empty()) {
    hashes.accession = accession_hash_of(patient_key_, identity.accession_number);
  }
  return hashes;
}

Result<Receipt> SqliteLedger::record(const Arrival& arrival, Durable* bytes) {
  const KeyedHashes hashes = hashes_of(arrival.identity);
  Receipt receipt;
  Commit commit;
  commit.is_intake = true;
  commit.bytes = bytes;
  commit.body = [&](Write& write) -> Result<void> {
    TRY_ASSIGN(receipt, record_one(write, arrival, hashes));
    return {};
  };
  TRY(hand_over(commit));
  return receipt;
}

// Adds a delivery; one that a person must look at first goes to quarantine at once.
Result<void> SqliteLedger::add_delivery(Write& write, const InstanceId& instance,
                                        const std::string& destination, const Clash& clash) {
  TRY_ASSIGN(DeliveryRow delivery, insert_delivery(write, instance, destination));
  const bool is_held_back =
      clash.other_bytes && contains(options_.quarantine_conflicts_at, destination);
  if (!clash.other_identity && !is_held_back) return {};
  const Error why =
      clash.other_identity
          ? permanent_error(
                "identity_conflict",
                "An instance with this SOP Instance UID is known from another study or patient; "
                "compare the two, then order a retry to deliver this one as well.")
          : permanent_error("conflict",
                            "An instance with this SOP Instance UID and other bytes is known; "
                            "compare the two, "
                            "then order a retry to deliver this one as well.");
  delivery.set_reason(why);
  return apply(write, delivery, DeliveryEvent::input_unusable, &why);
}

Result<Receipt> SqliteLedger::record_one(Write& write, const Arrival& arrival,
                                         const KeyedHashes& hashes) {
  TRY_ASSIGN(const Known known, look_up(write.db, arrival, hashes.patient));
  if (known.same) return receive_again(write, arrival, *known.same);
  const Clash clash{known.first.has_value(), known.other_identity};
  TRY(insert_instance(write, arrival, hashes, known.first, known.other_identity));
  for (const std::string& destination : destinations_of(arrival, options_.destinations)) {
    TRY(add_delivery(write, arrival.id, destination, clash));
  }
  return Receipt{arrival.id, false};
}

// I7: the sender hears success, so every destination that the arrival is for must get it.
Result<Receipt> SqliteLedger::receive_again(Write& write, const Arrival& arrival,
                                            const InstanceId& known) {
  TRY_ASSIGN(const KnownRow row, load_known(write.db, known));
  Receipt receipt{known, true, row.spool_ref == arrival.spool_ref.text && !row.is_going};
  if (known == arrival.id) return receipt;  // its own row stays as it is
  if (!row.is_going && !receipt.bytes_taken) {
    TRY_ASSIGN(receipt.bytes_taken, replace_lost_bytes(write, known, arrival));
  }
  TRY_ASSIGN(const auto had, collect(write.db.query(statement::deliveries_had, {known}), had_of));
  std::string added;
  for (const std::string& destination : destinations_of(arrival, options_.destinations)) {
    const auto one = std::ranges::find(had, destination, &Had::destination);
    if (one != had.end() && !one->is_discarded) continue;
    if (one == had.end()) {
      TRY(add_delivery(write, known, destination, row.clash));
    } else {
      TRY(reopen(write, one->id));
    }
    added += (added.empty() ? "" : ", ") + destination;
  }
  if (added.empty()) return receipt;
  if (row.is_going) {
    TRY(write.db.run(statement::take_bytes,
                     {arrival.spool_ref.text, arrival.transfer_syntax_uid, arrival.size_bytes,
                      arrival.dataset_offset_bytes, arrival.file_digest, known}));
    receipt.bytes_taken = true;
  } else {
    TRY(write.db.run(statement::keep_bytes, {known}));
  }
  const Error why = permanent_error(row.is_going ? "bytes_taken" : "destinations_added", added);
  TRY(note(write, "instance", known.text(), "received_again", "", "received", &why));
  return receipt;
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
