// Looks at a spool from outside, beside a running gateway or without one: what rows say against the
// bytes, and one instance's bytes for a person. Reads only; holds a page of rows and one buffer.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/env.h"
#include "ledger/ledger.h"

namespace isthmus {

// The Part 10 file under a reference of either kind. "spool.not_found" (permanent) when the bytes
// are gone, "spool.io" (transient).
Result<std::unique_ptr<ByteSource>> open_spooled(Env& env, const FileSystem::Path& directory,
                                                 const SpoolRef& ref);

struct SpoolFinding {
  InstanceId instance;
  std::string code;     // "spool.not_found", "spool.damaged", "spool.io"
  std::string message;  // what is wrong, and what to do
};

struct SpoolReport {
  std::uint64_t instances = 0;
  std::uint64_t bytes = 0;
  std::uint64_t findings = 0;
  std::uint64_t going = 0;  // claimed for freeing: not looked at
};

// Reads every instance that the ledger says is held and compares length and digests with its row.
// What was freed or moved meanwhile is no finding. Errors of the ledger as they are.
Result<SpoolReport> verify_spool(Env& env, const FileSystem::Path& directory, Ledger& ledger,
                                 const std::function<void(const SpoolFinding&)>& found);

}  // namespace isthmus
