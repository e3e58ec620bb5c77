// Storage commitment as it is configured: who may ask and where they are told, and its parts put
// together.
#pragma once

#include <memory>
#include <vector>

#include "api/commitment.h"
#include "app/settings.h"
#include "dimse/commitment.h"
#include "pipeline/runner.h"
#include "senders/senders.h"

namespace isthmus::app {

// Senders as requesters: those that may ask and that can be told. `senders` outlives it.
std::unique_ptr<Requesters> make_requesters(const Senders& senders);

CommitmentLimits commitment_limits(const Settings& settings);
api::WebCommitmentOptions web_commitment_options(const Settings& settings);
// What each destination has to reach, where the sender does not say otherwise.
CommitmentLevels commitment_levels(const Settings& settings);

// The steps that evaluate and report. References outlive the runner; `connect` opens connections
// to requesters.
std::unique_ptr<ReportLine> add_commitment_steps(Env& env, const Settings& settings, Runner& runner,
                                                 Commitments& commitments, Spool& spool,
                                                 const Requesters& requesters, ReportDesk& desk,
                                                 ConnectToRequester connect);

}  // namespace isthmus::app
