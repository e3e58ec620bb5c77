// The spool of segments, as its parts and its tests see it. What it promises is spool/spool.h.
#pragma once

#include <memory>

#include "base/thread.h"
#include "spool/admission.h"
#include "spool/files/file_spool.h"
#include "spool/segments/buffers.h"
#include "spool/segments/follower.h"
#include "spool/segments/store.h"
#include "spool/spool.h"

namespace isthmus::segments {

// What an instance being received works with.
struct Workshop {
  Env& env;
  Admission& admission;
  const SegmentOptions& options;
  BufferPool& buffers;
  SegmentStore& store;
  Follower& follower;
  FilesBeside& files;
  Counter& syncs;
  Counter& records;

  // Appends a record and makes it durable. "spool.no_segment" when there is no place for it; then
  // nothing was written. Fatal errors have closed admission when it returns.
  Result<Slot> append(Record& record, Gathered& bytes);
  // The slot's record failed, or never was written.
  void give_up(const Slot& slot);
  // The slot's record is durable, and shall be no promise.
  void withdraw(const Slot& slot);
};

std::unique_ptr<IncomingInstance> begin_record(Workshop& workshop, InstanceId id, Origin origin);

class SegmentSpool final : public Spool {
 public:
  SegmentSpool(Env& env, FileSystem::Path directory, Ledger& ledger, Admission& admission,
               SegmentOptions options, std::unique_ptr<FilesBeside> files);
  ~SegmentSpool() override;

  Result<std::unique_ptr<IncomingInstance>> begin(const Origin& origin) override;
  Result<std::unique_ptr<ByteSource>> open(const SpoolRef& ref) override;
  Result<void> free(const SpoolRef& ref) override;
  Result<std::size_t> recover() override;
  Result<void> catch_up() override { return follower_.catch_up(); }
  Result<std::uint64_t> used_bytes() override;

  // What the threads in the background do, for who has none: make one segment ready; move the
  // records of one segment elsewhere. True when something was done.
  Result<bool> prepare_one() { return store_.prepare_one(); }
  Result<bool> remove_one() { return store_.remove_one(); }
  Result<bool> compact_one();
  std::size_t kept_records() const { return store_.kept_records(); }

 private:
  // replay.cc
  Result<void> replay();
  Result<std::vector<Record>> promises_behind(const SpoolPosition& position);
  Result<void> follow(std::vector<Record> records);
  Result<void> keep_held();

  // compaction.cc
  Result<bool> move_record(const HeldInstance& held);

  void start();
  void follow_rows();
  void keep_segments();
  void complain(const char* event, const Error& error);

  Env& env_;
  const FileSystem::Path directory_;
  Ledger& ledger_;
  Admission& admission_;
  const SegmentOptions options_;
  const std::unique_ptr<FilesBeside> files_;
  Counter& begun_;
  Counter& compacted_;
  BufferPool buffers_;
  SegmentStore store_;
  Follower follower_;
  Workshop workshop_;
  std::uint64_t last_sequence_ = 0;  // seen at start-up
  bool recovered_ = false;
  std::atomic<bool> stopping_{false};
  Wakeup need_, pause_;
  Thread rows_thread_;
  Thread keeper_thread_;
};

}  // namespace isthmus::segments
