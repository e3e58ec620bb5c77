// Updates of metadata as the routes show them. Values only to who may read patient data. Private to
// api. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "ledger/updates.h"
#include "pipeline/metadata.h"

namespace isthmus::api {

nlohmann::json update_json(const MetadataUpdateRow& row);
nlohmann::json update_json(const MetadataUpdateDetails& details, bool with_values);
// The parent of these: its state is that of the one that needs most attention.
nlohmann::json order_json(const MetadataOrderRow& order,
                          const std::vector<MetadataUpdateRow>& updates);
nlohmann::json plan_json(const MetadataChange& change, const MetadataPlan& plan, bool with_values);

}  // namespace isthmus::api
