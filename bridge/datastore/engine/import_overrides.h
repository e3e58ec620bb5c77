// What an import's caller gives to be put over the metadata of its files (importConfiguration,
// dicomMetadataMappings). HealthImaging publishes neither the file's format nor how it is merged;
// the rule here is ours: the file has the form of an update document (contracts/healthimaging
// section 5), it inserts and replaces, and a series' own file stands over its study's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "datastore/engine/examination.h"
#include "datastore/engine/update_document.h"

namespace isthmus::datastore {

struct OverrideText {
  std::string study_instance_uid;
  std::optional<std::string> series_instance_uid;  // absent: of the whole study
  std::string document;
};

class ImportOverrides {
 public:
  // Form alone; "datastore.change_refused" (permanent).
  static Result<ImportOverrides> parse(const std::vector<OverrideText>& texts);

  bool empty() const { return of_studies_.empty() && of_series_.empty(); }
  // Changes what an accepted file's examination says, so that grouping and search follow.
  // "datastore.io" (fatal) when it is damaged.
  Result<void> apply(Examination& examination) const;

 private:
  struct Override {
    std::string study_instance_uid;
    std::string series_instance_uid;
    UpdateDocument document;
  };
  std::vector<Override> of_studies_, of_series_;
};

// Elements that may be given: "datastore.change_refused" for those that an update may not change
// even by force, and for UIDs.
Result<void> check_override(const UpdateDocument& document, const Dictionary& dictionary);

}  // namespace isthmus::datastore
