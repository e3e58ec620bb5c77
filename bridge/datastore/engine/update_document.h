// The documents of UpdateImageSetMetadata, CopyImageSet and metadata mappings of imports: the tree
// of an image set's metadata with only the parts that are meant (contracts/healthimaging/README.md
// section 5). Written by callers: everything about them is checked here. Pure: no storage.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "datastore/engine/dictionary.h"

namespace isthmus::datastore {

struct UpdateDocument {
  struct Instance {
    nlohmann::json elements = nlohmann::json::object();
    nlohmann::json vrs = nlohmann::json::object();  // of private elements
    bool named_only() const { return elements.empty() && vrs.empty(); }
  };
  struct Series {
    nlohmann::json elements = nlohmann::json::object();
    std::map<std::string, Instance> instances;  // by SOP instance UID
  };
  nlohmann::json patient = nlohmann::json::object();
  nlohmann::json study = nlohmann::json::object();
  std::map<std::string, Series> series;  // by series instance UID

  bool empty() const { return patient.empty() && study.empty() && series.empty(); }
  // Every key of every level, once.
  std::vector<std::string> keys() const;
};

// Form alone: members, their types, SchemaVersion. "datastore.change_refused" (permanent); no
// message repeats a value.
Result<UpdateDocument> parse_update_document(std::string_view text);

enum class UpdatePurpose { insert_or_replace, remove };

// What the developer guide's page "DICOM metadata constraints" allows, before the image set is
// looked at: elements that the service made are never changed; an element stands at its own level;
// unless forced, no UIDs and StudyID, no sequences, no several values, no value that its VR does
// not have, no element that the dictionary does not know, no private one, no removal of an
// instance. "datastore.change_refused".
Result<void> check_update(const UpdateDocument& document, const Dictionary& dictionary,
                          UpdatePurpose purpose, bool forced);

// Whether it would change one of the three UIDs that place an instance.
bool changes_uids(const UpdateDocument& document);

// The SOP instances that copiableAttributes name, of every series. "datastore.change_refused" when
// there is anything else in it, or nothing.
Result<std::vector<std::string>> parse_copiable(std::string_view text);

}  // namespace isthmus::datastore
