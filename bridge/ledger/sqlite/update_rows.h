// Rows of metadata updates as values, and the only code that changes their states. Private to the
// ledger.
#pragma once

#include "ledger/sqlite/rows.h"
#include "ledger/updates.h"

namespace isthmus {

MetadataUpdateRow metadata_update_of(sql::Columns columns);
Result<MetadataUpdateRow> load_metadata_update(sql::Database& db, const MetadataUpdateId& id);
Result<MetadataUpdateDetails> load_metadata_details(sql::Database& db, const MetadataUpdateId& id);

// Moves the row along by `event`, with a line of history. A state that goes on by itself gets the
// row's date, or now; another loses it. "ledger.no_transition".
Result<void> apply(Write& write, MetadataUpdateRow& row, MetadataUpdateEvent event,
                   const Error* why);
// The same without a change of state.
Result<void> save(Write& write, const MetadataUpdateRow& row);
Result<void> note_metadata(Write& write, const MetadataUpdateId& id, std::string_view event,
                           std::string_view from, std::string_view to, const Error* why);

Result<void> insert_attributes(Write& write, const MetadataUpdateId& id,
                               const MetadataChange& change);
Result<void> insert_step(Write& write, const MetadataUpdateId& id, const MetadataStep& step);
Result<void> change_step(Write& write, const MetadataUpdateId& id, MetadataStep& step,
                         const MetadataStepChange& change);

}  // namespace isthmus
