// Reads segments as they lie on the disk, without what a running spool knows of them: at start-up,
// for compaction, and for the commands that check and export.
#pragma once

#include <functional>
#include <memory>

#include "base/env.h"
#include "spool/segments/format.h"

namespace isthmus::segments {

// Every record of a segment's present life whose header is whole, in the order of places. Blocks
// that begin none are passed one by one: a place may have been given out and never written, while
// the ones behind it were.
Result<void> scan(Env& env, const FileSystem::Path& path, const SegmentHeader& segment,
                  const std::function<Result<void>(Record)>& found);

// Whether the payload is what its record's header says: the head's checksum, the data set's digest.
Result<bool> payload_is_whole(const File& file, const Record& record);

// The record at a place, by a reader that knows nothing else: the segment's header must tell the
// same generation. "spool.not_found" (permanent) when there is no such record now, "spool.io"
// (transient).
struct OpenRecord {
  std::unique_ptr<File> file;
  Record record;
};
Result<OpenRecord> open_record(Env& env, const FileSystem::Path& directory, const Place& place);

}  // namespace isthmus::segments
