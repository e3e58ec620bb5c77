#include "app/states_document.h"

#include <fmt/format.h>

#include "model/transitions.h"

namespace isthmus::app {
namespace {

template <typename State, typename Event>
std::string table(std::string_view title, std::span<const Transition<State, Event>> rows) {
  std::string text = fmt::format("\n## {}\n\n| from | event | to |\n| --- | --- | --- |\n", title);
  for (const auto& row : rows) {
    text += fmt::format("| {} | {} | {} |\n", to_string(row.from), to_string(row.event),
                        to_string(row.to));
  }
  return text;
}

template <typename State>
std::string kinds(std::span<const State> states) {
  std::string text = "\n";
  for (const State state : states) {
    const auto* kind = is_final(state)          ? "done"
                       : asks_for_person(state) ? "asks for a person, with a reason"
                                                : "on its way, with a date";
    text += fmt::format("- `{}`: {}\n", to_string(state), kind);
  }
  return text;
}

}  // namespace

std::string states_markdown() {
  return "# States\n\nMade by `isthmus print-states` from `bridge/model/transitions.h`; do not "
         "edit. A transition is\n`UPDATE … WHERE id = ? AND state = ?`; what is not in a table is "
         "refused (`ledger.no_transition`), by the\ncode and by the database itself. Each one "
         "writes a history row in the same transaction.\n" +
         table("Delivery", delivery_transitions()) + kinds(all_delivery_states()) +
         table("Batch", batch_transitions()) + kinds(all_batch_states()) +
         table("Import job", import_job_transitions()) +
         table("Commitment", commitment_transitions()) + kinds(all_commitment_states()) +
         table("Metadata update", metadata_update_transitions()) +
         kinds(all_metadata_update_states()) +
         table("Metadata step (one image set of an update)", metadata_step_transitions());
}

}  // namespace isthmus::app
