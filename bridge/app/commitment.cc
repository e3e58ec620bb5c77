#include "app/commitment.h"

#include "api/commitment.h"

namespace isthmus::app {
namespace {

class ConfiguredRequesters final : public Requesters {
 public:
  explicit ConfiguredRequesters(const Senders& senders) : senders_(senders) {}

  std::optional<Requester> find(const std::string& calling_ae_title) const override {
    const std::optional<Sender> sender = senders_.find_by_ae_title(calling_ae_title);
    if (!sender || !sender->may_ask_commitment) return std::nullopt;
    // Somewhere it must be possible to tell it.
    if (!sender->report_to && !sender->report_on_its_associations) return std::nullopt;
    Requester requester;
    if (sender->report_to) {
      requester.host = sender->report_to->host;
      requester.port = sender->report_to->port;
      requester.tls = sender->report_to->tls;
      requester.tls_name = sender->report_to->tls_name;
      requester.tls_pin_sha256 = sender->report_to->tls_pin_sha256;
    }
    requester.level = sender->commitment_level;
    requester.send_without_role_confirmation = sender->report_without_role;
    requester.same_association = sender->report_on_same_association;
    requester.tell_on_its_associations = sender->report_on_its_associations;
    return requester;
  }

 private:
  const Senders& senders_;
};

// Callers of DICOMweb come for their results: once a result stands, they are told.
class LineOrPull final : public ReportLine {
 public:
  explicit LineOrPull(std::unique_ptr<ReportLine> line) : line_(std::move(line)) {}

  Result<std::unique_ptr<ReportAssociation>> connect(const ReportPeer& peer) override {
    if (!api::is_web_requester(peer.calling_ae_title)) return line_->connect(peer);
    return std::unique_ptr<ReportAssociation>(std::make_unique<Pulled>());
  }

 private:
  class Pulled final : public ReportAssociation {
   public:
    Result<std::uint16_t> report(const Commitment&) override { return std::uint16_t{0}; }
  };

  const std::unique_ptr<ReportLine> line_;
};

}  // namespace

CommitmentLevels commitment_levels(const Settings& settings) {
  CommitmentLevels levels;
  const auto of_all = commitment_level_from(settings.text("commitment.level"));
  for (const std::string& name : settings.destinations()) {
    const std::string text = settings.text("destinations." + name + ".commitment");
    const auto level = text == "default" ? of_all : commitment_level_from(text);
    levels[name] = level.value_or(CommitmentLevel::imported);
  }
  return levels;
}

std::unique_ptr<Requesters> make_requesters(const Senders& senders) {
  return std::make_unique<ConfiguredRequesters>(senders);
}

CommitmentLimits commitment_limits(const Settings& settings) {
  CommitmentLimits limits;
  limits.max_references = static_cast<std::size_t>(settings.integer("commitment.max_references"));
  limits.max_active = settings.integer("commitment.max_requests");
  limits.unknown_after = settings.duration("commitment.unknown_after_s");
  limits.answer_by = settings.duration("commitment.answer_by_s");
  return limits;
}

api::WebCommitmentOptions web_commitment_options(const Settings& settings) {
  const CommitmentLimits limits = commitment_limits(settings);
  return {limits.max_references, limits.max_active, limits.unknown_after, limits.answer_by};
}

std::unique_ptr<ReportLine> add_commitment_steps(Env& env, const Settings& settings, Runner& runner,
                                                 Commitments& commitments, Spool& spool,
                                                 const Requesters& requesters, ReportDesk& desk,
                                                 ConnectToRequester connect) {
  ReportLineOptions line;
  line.connect_timeout = settings.duration("commitment.connect_timeout_s");
  line.associate_timeout = settings.duration("commitment.answer_timeout_s");
  line.answer_timeout = line.associate_timeout;
  desk.set_first_wait(settings.duration("commitment.first_retry_s"));
  std::unique_ptr<ReportLine> made = std::make_unique<LineOrPull>(
      make_report_line(env, commitments, requesters, std::move(connect), line));
  EvaluatorOptions evaluator;
  evaluator.levels = commitment_levels(settings);
  evaluator.retry_for = settings.duration("commitment.retry_for_s");
  evaluator.retention = settings.duration("commitment.retention_s");
  runner.add(make_commitment_evaluator(env, commitments, spool, std::move(evaluator)));
  for (std::int64_t i = 0; i < settings.integer("commitment.reporters"); ++i) {
    runner.add(make_commitment_reporter(env, commitments, *made, desk));
  }
  return made;
}

}  // namespace isthmus::app
