// Which operation belongs to which intent, in the bucket: one object by the intent, one by the
// operation. Private to imports. Any thread.
#pragma once

#include <optional>
#include <string>

#include "model/import_job.h"
#include "storage/object_store.h"

namespace isthmus::google {

struct OperationNote {
  std::string operation_id;
  std::string job_name;
  std::string input_prefix;
};

class OperationNotes {
 public:
  // `bucket` must outlive it.
  OperationNotes(ObjectStore& bucket, std::string prefix)
      : bucket_(bucket), prefix_(std::move(prefix)) {}

  Result<std::optional<OperationNote>> of(const ImportIntent& intent);
  // Whether any intent's note names it.
  Result<bool> is_noted(const std::string& operation_id);
  Result<void> keep(const ImportIntent& intent, const std::string& operation_id);

  static ObjectKey by_intent(const std::string& prefix, const ImportIntent& intent);
  static ObjectKey by_operation(const std::string& prefix, const std::string& operation_id);

 private:
  ObjectStore& bucket_;
  const std::string prefix_;
};

}  // namespace isthmus::google
