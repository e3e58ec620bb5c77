// A spool in memory, with teeth: it refuses, fails at a chosen append, keeps callers waiting in
// commit, and tells what it was given. Nothing is durable. Any thread; one thread per instance.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "spool/spool.h"

namespace isthmus::test {

struct IntakeInstance {
  Origin origin;
  Identified identified;
  std::string bytes;  // the Part 10 file, when kept
  std::uint64_t size_bytes = 0;
  std::uint64_t dataset_began = 0;  // at which byte dataset_begins() was called
  std::string dataset() const { return bytes.substr(dataset_began); }
};

class IntakeSpool : public Spool {
 public:
  explicit IntakeSpool(Env& env) : env_(env) {}

  Result<std::unique_ptr<IncomingInstance>> begin(const Origin& origin) override;
  Result<std::unique_ptr<ByteSource>> open(const SpoolRef& ref) override;
  Result<void> free(const SpoolRef& ref) override;
  Result<std::size_t> recover() override { return std::size_t{0}; }
  Result<void> catch_up() override { return {}; }
  Result<std::uint64_t> used_bytes() override;

  // --- faults ---------------------------------------------------------------------------------
  void refuse_begin(std::optional<Error> error);
  // Every append that would make an instance longer than this fails.
  void fail_append_beyond(std::optional<std::uint64_t> bytes, Error error);
  void fail_commit(std::optional<Error> error);
  // commit() waits until open_gate().
  void close_gate();
  void open_gate();
  void wait_for_commits_at_gate(std::size_t count);
  // Counts bytes but does not keep them: for instances larger than memory.
  void forget_bytes() { keep_bytes_ = false; }

  // --- what it has ----------------------------------------------------------------------------
  std::vector<IntakeInstance> instances() const;
  std::optional<IntakeInstance> instance(const std::string& sop_instance_uid) const;
  void clear();
  std::size_t under_way() const;  // begun, neither committed nor destroyed

 private:
  friend class IntakeIncoming;

  Env& env_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> begin_error_, append_error_, commit_error_;
  std::optional<std::uint64_t> append_limit_;
  bool gate_closed_ = false;
  std::size_t at_gate_ = 0;
  std::size_t under_way_ = 0;
  bool keep_bytes_ = true;
  std::vector<IntakeInstance> instances_;
};

}  // namespace isthmus::test
