// The ledger's schema, as numbered migrations. A migration that was released is never edited: files
// in the field were made by it (tests/unit/ledger/schema_v1.sql holds version 1 as it was
// released).
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "sql/sql.h"

namespace isthmus {

// `env` gives randomness to the migration that makes the key for patient identifiers; it must
// outlive the list.
std::vector<sql::Migration> ledger_migrations(Env& env);

// Makes what the spool holds findable by place (migration_held_instances.cc).
std::string held_instances_migration();

// Lets a row whose bytes were freed take bytes that came again (migration_bytes_again.cc).
std::string bytes_again_migration();

// Lets a delivery be discarded (migration_discard.cc): the script, and a look whether it took.
std::string discard_migration();
Result<void> deliveries_can_be_discarded(sql::Database& database);

// Keeps a keyed hash of the accession number (migration_accession.cc).
std::string accession_migration();
// Gives batches their lane (migration_lanes.cc).
std::string lanes_migration();

// Version 1's script. STRICT tables; states, their CHECKs and the triggers that refuse a change of
// state come from model/transitions.h.
std::string ledger_schema_v1();

// Version 2's: storage commitment (commitment_schema.cc).
std::string ledger_schema_commitments();

// Makes the requests that wait for an instance findable by it (commitment_schema.cc).
std::string commitment_lookup_migration();

// Puts what model/transitions.h knows in place of {delivery_states}, {delivery_moving},
// {batch_states}, {batch_moving}, {batch_final}, {import_job_states}, {outcome_kinds},
// {commitment_states}, {commitment_moving}, {commitment_transitions}, {metadata_update_states},
// {metadata_update_moving}, {metadata_update_transitions}, {metadata_step_states} and
// {metadata_step_transitions}: lists of quoted words.
std::string fill_in_states(std::string script);

}  // namespace isthmus
