#include "app/sender_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "api/senders.h"
#include "app/command_line.h"
#include "app/configured_senders.h"
#include "dicom/part10.h"
#include "dicom/probe.h"
#include "senders/definition.h"

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kHeadBytes = 64 * KiB;
constexpr std::uint64_t kProbedBytes = 16 * MiB;

std::vector<std::string> texts_of(const std::vector<AddressRange>& ranges) {
  std::vector<std::string> texts;
  for (const AddressRange& range : ranges) texts.push_back(range.text());
  return texts;
}

ordered_json sender_json(const Sender& sender, std::string_view standing) {
  ordered_json body{{"name", sender.name},
                    {"standing", standing},
                    {"calling_ae_titles", sender.calling_ae_titles},
                    {"called_ae_titles", sender.called_ae_titles},
                    {"addresses", texts_of(sender.addresses)},
                    {"tls_identities", sender.tls_identities},
                    {"sop_classes", sender.sop_classes}};
  if (sender.destinations) body["destinations"] = *sender.destinations;
  if (sender.report_to) body["report_to"] = sender.report_to->text();
  if (sender.limits.associations > 0) body["associations"] = sender.limits.associations;
  if (sender.limits.instances_per_second > 0) {
    body["instances_per_second"] = sender.limits.instances_per_second;
  }
  if (sender.limits.bytes_per_second > 0) {
    body["bytes_per_second"] = sender.limits.bytes_per_second;
  }
  return body;
}

ordered_json refused_json(const RefusedSender& one) {
  return {{"calling_ae_title", one.calling_ae_title},
          {"called_ae_title", one.called_ae_title},
          {"address", one.peer_address},
          {"certificate_fingerprint", one.certificate_fingerprint},
          {"certificate_name", one.certificate_name},
          {"reason", one.reason},
          {"asked", one.asked},
          {"times", one.times},
          {"first_at", to_rfc3339(one.first_at)},
          {"last_at", to_rfc3339(one.last_at)}};
}

template <typename List>
std::string joined_or(const List& list, std::string_view otherwise) {
  return list.empty() ? std::string(otherwise) : fmt::format("{}", fmt::join(list, ", "));
}

std::string sender_text(const Sender& sender, std::string_view standing) {
  std::string text = fmt::format("{:<12}{:<11}{} from {}", sender.name, standing,
                                 joined_or(sender.calling_ae_titles, "any AE title"),
                                 joined_or(texts_of(sender.addresses), "anywhere"));
  if (!sender.tls_identities.empty()) {
    text += " as " + joined_or(sender.tls_identities, "");
  }
  if (!sender.sop_classes.empty()) text += "; stores " + joined_or(sender.sop_classes, "");
  if (sender.destinations) text += "; to " + joined_or(*sender.destinations, "");
  if (sender.report_to) text += "; reports to " + sender.report_to->text();
  return text;
}

std::string refused_text(const RefusedSender& one) {
  std::string text = fmt::format("  {:<18}from {}, called {}: {}, {} times, last {}; asked for {}",
                                 one.calling_ae_title, one.peer_address, one.called_ae_title,
                                 one.reason, one.times, to_rfc3339(one.last_at), one.asked);
  if (!one.certificate_fingerprint.empty()) {
    text += fmt::format("; certificate {} {}", one.certificate_name, one.certificate_fingerprint);
  }
  return text;
}

struct SenderLists {
  std::vector<Sender> configured;
  std::vector<SenderDesk::Word> words;
  std::vector<RefusedSender> refused;
};

Result<SenderLists> read_lists(const Invocation& invocation, const Settings& settings) {
  SenderLists lists;
  lists.configured = configured_senders(settings).policy.senders;
  const auto ledger = open_ledger(invocation, settings, true);
  if (!ledger.ok()) return ledger.error();
  SenderDesk desk(invocation.env, (*ledger)->sender_rows(), nullptr, {}, {});
  TRY_ASSIGN(lists.words, desk.words());
  TRY_ASSIGN(lists.refused, (*ledger)->sender_rows().refused());
  return lists;
}

std::string_view standing_of(const SenderDesk::Word& word) {
  return word.blocked ? "blocked" : "admitted";
}

void print_lists(const SenderLists& lists) {
  for (const Sender& sender : lists.configured) say(sender_text(sender, "configured"));
  for (const SenderDesk::Word& word : lists.words) {
    say(sender_text(word.sender, standing_of(word)));
  }
  if (lists.configured.empty() && lists.words.empty()) say("no sender is known");
  if (lists.refused.empty()) {
    say("nobody waits to be admitted");
    return;
  }
  say("");
  say("refused, and waiting for a person:");
  for (const RefusedSender& one : lists.refused) say(refused_text(one));
  say("admit: isthmus senders admit AE_TITLE   not again: isthmus senders block AE_TITLE");
}

// What the head of a file says, where nothing else was said.
Result<void> read_attributes(Env& env, const std::string& path, RouteAttributes& attributes) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  Bytes head(static_cast<std::size_t>(std::min(size, kHeadBytes)));
  TRY_ASSIGN(const std::size_t got, file->read_at(0, head));
  head.resize(got);
  TRY_ASSIGN(const dicom::FileHead meta, dicom::read_file_head(head));
  const auto probe = dicom::make_probe(meta.transfer_syntax_uid);
  Bytes piece(256 * KiB);
  std::uint64_t at = meta.dataset_offset_bytes;
  while (at < meta.dataset_offset_bytes + kProbedBytes) {
    TRY_ASSIGN(const std::size_t read, file->read_at(at, piece));
    if (read == 0 || probe->feed(ByteSpan(piece).first(read)) != dicom::Probe::State::more) break;
    at += read;
  }
  TRY_ASSIGN(const Identity identity, probe->finish());
  const auto fill = [](std::string& into, std::string_view value) {
    if (into.empty()) into = value;
  };
  fill(attributes.modality, identity.modality);
  fill(attributes.study_description, probe->seen_study_description());
  fill(attributes.institution_name, probe->seen_institution_name());
  return {};
}

// The sender that the trial stands for; one of nobody when it is not known.
Sender sender_of(const Senders& senders, const RouteTrial& trial) {
  const RouteAttributes& said = trial.attributes;
  if (!said.sender.empty()) return senders.find(said.sender).value_or(Sender{});
  if (!trial.from.empty()) {
    return senders.admit({said.calling_ae_title, said.called_ae_title, trial.from, std::nullopt})
        .sender;
  }
  return senders.find_by_ae_title(said.calling_ae_title).value_or(Sender{});
}

void explain(const Routes& routes, const RouteAttributes& attributes) {
  for (const Route& route : routes.in_order()) {
    const auto fails =
        std::find_if(route.conditions.begin(), route.conditions.end(),
                     [&](const RouteCondition& condition) { return !condition.holds(attributes); });
    if (fails != route.conditions.end()) {
      say(fmt::format("route {}: no, not {}", route.name, fails->text()));
      continue;
    }
    std::vector<std::string> held;
    for (const RouteCondition& condition : route.conditions) held.push_back(condition.text());
    say(fmt::format("route {}: yes, {}", route.name, joined_or(held, "it has no conditions")));
    return;
  }
}

// Admitted senders too, when there is a ledger; a dry run does without one.
void bring_in_admitted(const Invocation& invocation, const Settings& settings, Senders& senders) {
  const auto ledger = open_ledger(invocation, settings, true);
  if (!ledger.ok()) return;
  SenderDesk desk(invocation.env, (*ledger)->sender_rows(), &senders, {}, settings.destinations());
  ignore(desk.load(), "then with the configured ones alone");
}

}  // namespace

int show_senders(const Invocation& invocation, bool json) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto lists = read_lists(invocation, *settings);
  if (!lists.ok()) return failed(lists.error());
  if (!json) {
    print_lists(*lists);
    return kWell;
  }
  ordered_json body{{"mode", settings->text("dimse.admission")},
                    {"senders", ordered_json::array()},
                    {"refused", ordered_json::array()}};
  for (const Sender& sender : lists->configured) {
    body["senders"].push_back(sender_json(sender, "configured"));
  }
  for (const SenderDesk::Word& word : lists->words) {
    body["senders"].push_back(sender_json(word.sender, standing_of(word)));
  }
  for (const RefusedSender& one : lists->refused) body["refused"].push_back(refused_json(one));
  say(body.dump(2));
  return kWell;
}

int order_sender(const Invocation& invocation, const SenderOrder& order) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  Result<std::string> done = std::string();
  const auto ledger = open_ledger(invocation, *settings, false);
  if (ledger.ok()) {
    SenderDesk desk(invocation.env, (*ledger)->sender_rows(), nullptr,
                    configured_senders(*settings).policy, settings->destinations());
    done = desk.carry_out(order);
    (*ledger)->stop();
  } else if (ledger.error().code == "ledger.locked") {
    done = call_daemon(invocation.env, *settings, "/control/senders", api::order_json(order));
    if (done.ok()) {
      const auto answer = nlohmann::json::parse(*done, nullptr, false);
      if (!answer.is_object() || !answer.contains("done") || !answer["done"].is_string()) {
        return failed(permanent_error("control.refused", "The daemon's answer makes no sense."));
      }
      done = answer["done"].get<std::string>();
    }
  } else {
    return failed(ledger.error());
  }
  if (!done.ok()) {
    complain(describe(done.error()));
    return kWrong;
  }
  say(*done);
  return kWell;
}

int try_route(const Invocation& invocation, const RouteTrial& trial) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  SenderPolicy policy = configured_senders(*settings).policy;
  const Routes routes = policy.routes;
  Senders senders(std::move(policy));
  bring_in_admitted(invocation, *settings, senders);
  RouteAttributes attributes = trial.attributes;
  if (!trial.file.empty()) {
    const auto read = read_attributes(invocation.env, trial.file, attributes);
    if (!read.ok()) return failed(read.error());
  }
  const Sender sender = sender_of(senders, trial);
  attributes.sender = sender.name;
  say(fmt::format("sender: {}", sender.name.empty() ? "nobody that is known" : sender.name));
  say(fmt::format("modality: {}", printable(attributes.modality, 64)));
  explain(routes, attributes);
  const RouteDecision decision = senders.route(sender, attributes);
  const std::string_view why = !decision.route.empty() ? "by the route"
                               : decision.destinations ? "the sender's own, no route holds"
                                                       : "every one, no route holds";
  const std::vector<std::string> to = decision.destinations.value_or(settings->destinations());
  say(fmt::format(
      "destinations: {} ({})", fmt::join(to, ", "),
      decision.route.empty() ? std::string(why) : fmt::format("{} {}", why, decision.route)));
  return kWell;
}

}  // namespace isthmus::app
