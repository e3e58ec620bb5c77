// A study as Orthanc Explorer shows it: what became of it, and its story; and the button and panel
// that show it there.
#pragma once

#include <string>
#include <string_view>

#include "ledger/ledger.h"

namespace isthmus::plugin {

// JSON: state, counts, what was received when, image sets, import jobs, timeline (oldest first).
// "ledger.not_found" (permanent) when nothing of this study was received. Ids, states, dates and
// codes: no patient data. Errors of the ledger.
Result<std::string> study_panel_json(Ledger& ledger, std::string_view study_instance_uid);

// For OrthancPluginExtendOrthancExplorer: runs in the browser, with the user's own rights.
const char* explorer_script();

}  // namespace isthmus::plugin
