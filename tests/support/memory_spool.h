// A Spool in memory over any Ledger, with teeth: it refuses, loses bytes and damages them. Any
// thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "spool/spool.h"

namespace isthmus::test {

class MemorySpool : public Spool {
 public:
  enum class Call { begin, open, free, catch_up };
  // Asked before each call, without a lock held; an error is given to the caller, and nothing
  // happens. The reference is empty for begin and catch_up.
  using Hook = std::function<std::optional<Error>(Call, const SpoolRef&)>;

  MemorySpool(Env& env, Ledger& ledger) : env_(env), ledger_(&ledger) {}
  // The process died, and this is the ledger of the new one; bytes stay.
  void use(Ledger& ledger) { ledger_ = &ledger; }

  Result<std::unique_ptr<IncomingInstance>> begin(const Origin& origin) override;
  Result<std::unique_ptr<ByteSource>> open(const SpoolRef& ref) override;
  Result<void> free(const SpoolRef& ref) override;
  Result<std::size_t> recover() override;
  Result<void> catch_up() override;
  Result<std::uint64_t> used_bytes() override;

  // One instance, all at once: what a receiver does with begin, append and commit.
  Result<Receipt> receive(const Identity& identity, std::string_view file,
                          std::optional<std::vector<std::string>> destinations = std::nullopt);

  void set_hook(Hook hook);
  // As if a disk had flipped a bit, or somebody had removed the file. False: there is none.
  bool damage(const InstanceId& instance);
  bool vanish(const InstanceId& instance);
  bool holds(const InstanceId& instance) const;
  // Instances whose bytes are here.
  std::size_t count() const;

 private:
  class Incoming;
  std::optional<Error> admit(Call call, const SpoolRef& ref);

  Env& env_;
  Ledger* ledger_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> bytes_;
  Hook hook_;
};

}  // namespace isthmus::test
