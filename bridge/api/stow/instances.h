// Takes instances for one request: each is judged by the sender's policy and the study in the path
// before it is committed. Private to api/stow.
#pragma once

#include "api/stow/answer.h"
#include "api/stow/core.h"
#include "intake/instance_intake.h"

namespace isthmus::api::stow {

// One thread at a time. What it is given outlives it.
class Instances {
 public:
  Instances(Core& core, const Asking& asking) : core_(core), asking_(asking) {}

  InstanceIntake begin() const;
  // After the instance's last byte: commits it, or says why not. Logs what is refused.
  // `warning`: of what was done to it on the way.
  void conclude(InstanceIntake& intake, std::optional<std::uint16_t> warning = {});
  // One that never came so far, with its UIDs where they are known.
  void refuse(const Error& error, std::uint64_t received_bytes, std::string_view sop_class_uid = {},
              std::string_view sop_instance_uid = {});

  Outcomes& outcomes() { return outcomes_; }
  std::size_t stored() const { return stored_; }

 private:
  Result<Outcome> store(InstanceIntake& intake);
  Result<void> judge(const InstanceIntake& intake, const Identity& identity) const;
  void note(const Error& error, std::uint64_t received_bytes) const;
  void add(Outcome outcome);

  Core& core_;
  const Asking& asking_;
  Outcomes outcomes_;
  std::size_t stored_ = 0;
};

}  // namespace isthmus::api::stow
