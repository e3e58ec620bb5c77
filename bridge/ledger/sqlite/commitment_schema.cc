// The migration that brings storage commitment (tests/unit/ledger/schema_commitments.sql holds it
// as it was released).
#include "ledger/sqlite/schema.h"

namespace isthmus {
namespace {

constexpr std::string_view kCommitments = R"(
CREATE TABLE commitment (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  transaction_uid TEXT NOT NULL,
  calling_ae_title TEXT NOT NULL,
  called_ae_title TEXT NOT NULL,
  peer_address TEXT NOT NULL,
  list_digest TEXT NOT NULL CHECK (length(list_digest) = 64),
  reference_count INTEGER NOT NULL CHECK (reference_count > 0),
  level TEXT NOT NULL,  -- empty: as each destination says
  duplicate INTEGER NOT NULL CHECK (duplicate IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ({commitment_states})),
  state_since INTEGER NOT NULL,
  requested_at INTEGER NOT NULL,
  unknown_until INTEGER NOT NULL,
  answer_until INTEGER NOT NULL,
  failed INTEGER NOT NULL CHECK (failed BETWEEN 0 AND reference_count),
  report_until INTEGER,
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  next_attempt_at INTEGER,
  error_code TEXT NOT NULL,
  error TEXT NOT NULL,
  references_kept INTEGER NOT NULL CHECK (references_kept IN (0, 1)),
  -- I2: a date exactly while it goes on by itself.
  CONSTRAINT commitment_has_a_date
  CHECK ((next_attempt_at IS NOT NULL) = (state IN ({commitment_moving}))),
  CONSTRAINT commitment_is_reported_until_a_date
  CHECK (state = 'pending' OR report_until IS NOT NULL),
  CONSTRAINT commitment_is_known_until_delivered
  CHECK (references_kept = 1 OR state = 'delivered')
) STRICT;
CREATE UNIQUE INDEX commitment_by_list
ON commitment (transaction_uid, calling_ae_title, list_digest);
CREATE INDEX commitment_due ON commitment (state, next_attempt_at)
WHERE next_attempt_at IS NOT NULL;
CREATE INDEX commitment_due_at_peer
ON commitment (calling_ae_title, called_ae_title, next_attempt_at) WHERE state = 'answered';
CREATE INDEX commitment_by_state ON commitment (state, state_since);
CREATE INDEX commitment_by_date ON commitment (requested_at);
-- What a report of it would say. Sorted, so that evaluating walks both tables forward.
CREATE TABLE commitment_reference (
  commitment_id TEXT NOT NULL REFERENCES commitment (id),
  sop_instance_uid TEXT NOT NULL,
  sop_class_uid TEXT NOT NULL,
  failure_reason INTEGER NOT NULL DEFAULT 0,  -- (0008,1197); 0 means committed, once answered
  detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (commitment_id, sop_instance_uid, sop_class_uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE commitment_history (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  commitment_id TEXT NOT NULL REFERENCES commitment (id),
  event TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  why TEXT NOT NULL
) STRICT;
CREATE INDEX commitment_history_by_commitment ON commitment_history (commitment_id);
CREATE TRIGGER commitment_history_is_a_fact BEFORE UPDATE ON commitment_history
BEGIN SELECT RAISE(ABORT, 'history does not change'); END;
CREATE TRIGGER commitment_history_stays BEFORE DELETE ON commitment_history
BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;

CREATE TRIGGER commitment_begins BEFORE INSERT ON commitment WHEN NEW.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'a commitment begins as pending'); END;
CREATE TRIGGER commitment_transition BEFORE UPDATE OF state ON commitment
WHEN OLD.state <> NEW.state
  AND OLD.state || '>' || NEW.state NOT IN ({commitment_transitions})
BEGIN SELECT RAISE(ABORT, 'no such transition of a commitment'); END;
CREATE TRIGGER commitment_counted AFTER INSERT ON commitment
BEGIN
  INSERT INTO state_count VALUES ('commitment', '', NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER commitment_recounted AFTER UPDATE OF state ON commitment
WHEN OLD.state <> NEW.state
BEGIN
  UPDATE state_count SET count = count - 1
  WHERE subject = 'commitment' AND destination = '' AND state = OLD.state;
  INSERT INTO state_count VALUES ('commitment', '', NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER commitment_stays BEFORE DELETE ON commitment
BEGIN SELECT RAISE(ABORT, 'a commitment is never deleted'); END;
CREATE TRIGGER commitment_is_a_fact
BEFORE UPDATE OF id, transaction_uid, calling_ae_title, list_digest, reference_count ON commitment
BEGIN SELECT RAISE(ABORT, 'what was asked does not change'); END;
)";

}  // namespace

std::string commitment_lookup_migration() {
  return "CREATE INDEX commitment_reference_by_instance\n"
         "ON commitment_reference (sop_instance_uid);\n";
}

std::string ledger_schema_commitments() {
  return fill_in_states(std::string(kCommitments));
}

}  // namespace isthmus
