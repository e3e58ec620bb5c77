#include "model/outcome.h"

namespace isthmus {

std::string_view to_string(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::imported:
      return "imported";
    case OutcomeKind::rejected:
      return "rejected";
    case OutcomeKind::unaccounted:
      return "unaccounted";
  }
  return "unaccounted";
}

}  // namespace isthmus
