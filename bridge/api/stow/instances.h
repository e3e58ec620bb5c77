// Takes instances for one request: each is judged by the sender's policy and the study in the path
// before it is committed, and committed before the request is answered. Private to api/stow.
#pragma once

#include "api/stow/answer.h"
#include "api/stow/commit_ahead.h"
#include "api/stow/core.h"
#include "intake/instance_intake.h"

namespace isthmus::api::stow {

// One thread at a time. What it is given outlives it.
class Instances {
 public:
  Instances(Core& core, const Asking& asking) : core_(core), asking_(asking) {}

  InstanceIntake begin() const;
  // A file that is going to be concluded by conclude_later(). While it comes, the one before it is
  // committed; a small one is before that.
  std::unique_ptr<InstanceIntake> begin_next();
  // After the instance's last byte: says why not, or leaves it to be committed when the next one
  // begins, or by settle(). Its outcome is there after the next conclude_later() or settle().
  void conclude_later(std::unique_ptr<InstanceIntake> intake);
  // Every instance that was concluded has its outcome.
  void settle();
  // After the instance's last byte: commits it, or says why not. Logs what is refused.
  // `warning`: of what was done to it on the way.
  void conclude(InstanceIntake& intake, std::optional<std::uint16_t> warning = {});
  // One that never came so far, with its UIDs where they are known.
  void refuse(const Error& error, std::uint64_t received_bytes, std::string_view sop_class_uid = {},
              std::string_view sop_instance_uid = {});

  // Of those that have one: all, after settle().
  Outcomes& outcomes() { return outcomes_; }
  // Concluded so far, whether their outcome is there or not.
  std::size_t concluded() const { return outcomes_.size() + (later_ ? 1 : 0); }
  std::size_t stored() const { return stored_; }

 private:
  struct Later {
    Outcome outcome;  // if it is stored
    CommitAhead commit;
  };

  // What it is when it is stored; errors of identify(), and the policy's.
  Result<Outcome> examine(InstanceIntake& intake) const;
  Result<Outcome> store(InstanceIntake& intake);
  RouteInstance route() const;
  void conclude(Result<Outcome> outcome, const InstanceIntake& intake);
  void add_refused(const Error& error, std::uint64_t received_bytes, std::string_view sop_class_uid,
                   std::string_view sop_instance_uid);
  Result<void> judge(const InstanceIntake& intake, const Identity& identity) const;
  void note(const Error& error, std::uint64_t received_bytes) const;
  void add(Outcome outcome);

  Core& core_;
  const Asking& asking_;
  Outcomes outcomes_;
  std::unique_ptr<Later> later_;
  std::size_t stored_ = 0;
};

}  // namespace isthmus::api::stow
