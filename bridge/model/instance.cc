#include "model/instance.h"

namespace isthmus {

const std::vector<std::string>& destinations_of(const Arrival& arrival,
                                                const std::vector<std::string>& configured) {
  const bool names_some = arrival.destinations && !arrival.destinations->empty();
  return names_some ? *arrival.destinations : configured;
}

}  // namespace isthmus
