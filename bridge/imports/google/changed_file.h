// A Part 10 file with other metadata: the changed elements alone are written anew. Private to
// imports.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "model/metadata.h"

namespace isthmus::google {

// Reads the head of the file at `path`, and gives the changed one as a source that reads the rest
// from it. Instance attributes are those of this `sop_instance_uid`. "metadata.unsupported"
// (permanent) when the change cannot be written: a deflated data set, a VR that is not known,
// characters that the data set's character set does not have.
Result<std::unique_ptr<ByteSource>> changed_file(Env& env, const FileSystem::Path& path,
                                                 const std::string& sop_instance_uid,
                                                 const MetadataChange& change);

// Whether the change says that the instance is to go.
bool removes(const MetadataChange& change, const std::string& sop_instance_uid);

}  // namespace isthmus::google
