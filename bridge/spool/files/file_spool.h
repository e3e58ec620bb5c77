// The spool of files as another spool uses it: for instances that are too large for its own way.
#pragma once

#include "spool/spool.h"

namespace isthmus {

class FilesBeside : public Spool {
 public:
  // An instance that was admitted already, under the id that its receiver was told.
  virtual std::unique_ptr<IncomingInstance> take_over(InstanceId id, const Origin& origin) = 0;
};

// As open_file_spool.
Result<std::unique_ptr<FilesBeside>> open_files_beside(Env& env, FileSystem::Path directory,
                                                       Ledger& ledger, Admission& admission);

}  // namespace isthmus
