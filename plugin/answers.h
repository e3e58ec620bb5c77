// What Orthanc's REST API answers, read: no I/O, nothing trusted to have the form it should have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/instance.h"

namespace isthmus::plugin {

struct ChangesAnswer {
  // Of kind NewInstance, with Orthanc's id, in order.
  std::vector<std::pair<std::int64_t, std::string>> new_instances;
  std::int64_t reached = 0;  // position of the last change of any kind
  bool done = true;          // nothing came after these
};

// All give "orthanc.failed" (transient) for another form.
Result<ChangesAnswer> changes_in(std::string_view json);                  // /changes?since=…
Result<std::int64_t> last_change_in(std::string_view json);               // /changes?last
Result<std::vector<std::string>> ids_in(std::string_view json);           // /studies
Result<std::vector<std::string>> expanded_ids_in(std::string_view json);  // …/instances

// Of /tools/lookup: the ids of what is of this kind ("Instance", "Series", "Study").
Result<std::vector<std::string>> looked_up_in(std::string_view json, std::string_view kind);
Result<std::string> own_id_in(std::string_view json);            // /instances/<id>/patient
Result<std::string> sop_instance_uid_in(std::string_view json);  // /instances/<id>
Result<std::vector<std::string>> sop_instance_uids_in(std::string_view json);  // …/instances

// Of /instances/<id>/metadata?expand; what is not there is empty.
Origin origin_in(std::string_view json);
std::string reception_day_in(std::string_view json);  // "20260131", or empty

}  // namespace isthmus::plugin
