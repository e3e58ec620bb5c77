// The migration that brought senders into the ledger. Released: never edited.
#include "ledger/sqlite/sender_schema.h"

namespace isthmus {

std::string ledger_schema_of_senders() {
  return R"(
CREATE TABLE sender (
  name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
  blocked INTEGER NOT NULL CHECK (blocked IN (0, 1)),
  definition TEXT NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Refused, and remembered for a person. At most SenderRows::kMostRefused rows.
CREATE TABLE refused_sender (
  id INTEGER PRIMARY KEY,
  calling_ae_title TEXT NOT NULL,
  called_ae_title TEXT NOT NULL,
  peer_address TEXT NOT NULL,
  certificate_fingerprint TEXT NOT NULL,
  certificate_name TEXT NOT NULL,
  reason TEXT NOT NULL,
  asked TEXT NOT NULL,
  times INTEGER NOT NULL CHECK (times > 0),
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX refused_sender_by_identity ON refused_sender
  (calling_ae_title, called_ae_title, peer_address, certificate_fingerprint);
CREATE INDEX refused_sender_by_address ON refused_sender (peer_address, last_at);
CREATE INDEX refused_sender_by_date ON refused_sender (last_at);
)";
}

}  // namespace isthmus
