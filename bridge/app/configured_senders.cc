#include "app/configured_senders.h"

#include <fmt/format.h>

#include <algorithm>

#include "senders/desk.h"

namespace isthmus::app {
namespace {

class Reader {
 public:
  Reader(const Settings& settings, ConfiguredSenders& into)
      : settings_(settings), policy_(into.policy), problems_(into.problems) {}

  void read() {
    policy_.mode = *parse_sender_mode(settings_.text("dimse.admission"));
    policy_.ae_titles = titles("dimse.ae_titles");
    for (const std::string& name : settings_.entries("senders")) read_sender(name);
    std::vector<Route> routes;
    for (const std::string& name : settings_.entries("routes")) routes.push_back(route(name));
    policy_.routes = Routes(std::move(routes));
  }

 private:
  template <typename... Arguments>
  void problem(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    problems_.push_back(fmt::format(text, std::forward<Arguments>(arguments)...));
  }

  void read_sender(const std::string& name) {
    const std::string prefix = "senders." + name + ".";
    Sender sender;
    sender.name = name;
    sender.calling_ae_titles = calling_names(prefix + "calling_ae_titles");
    sender.called_ae_titles = titles(prefix + "called_ae_titles");
    for (const std::string& text : settings_.list(prefix + "addresses")) {
      if (const auto range = AddressRange::parse(text)) {
        sender.addresses.push_back(*range);
      } else {
        problem("{}addresses: {} is neither an address nor a network as 10.1.0.0/16.", prefix,
                text);
      }
    }
    sender.tls_identities = settings_.list(prefix + "tls_identities");
    if (sender.calling_ae_titles.empty() && sender.addresses.empty() &&
        sender.tls_identities.empty()) {
      problem(
          "senders.{} must have calling_ae_titles, addresses or tls_identities: everybody "
          "would be this sender.",
          name);
    }
    sender.sop_classes = settings_.list(prefix + "sop_classes");
    for (const std::string& rule : sender.sop_classes) {
      if (!is_sop_class_rule(rule)) {
        problem("{}sop_classes: {} is neither a UID, a storage class nor a group.", prefix, rule);
      }
    }
    const std::vector<std::string> destinations = destinations_of(prefix);
    if (!destinations.empty()) sender.destinations = destinations;
    sender.limits = {static_cast<std::size_t>(settings_.integer(prefix + "associations")),
                     settings_.number(prefix + "instances_per_second"),
                     static_cast<double>(settings_.integer(prefix + "bytes_per_second"))};
    read_reports(prefix, sender);
    policy_.senders.push_back(std::move(sender));
  }

  void read_reports(const std::string& prefix, Sender& sender) {
    const std::string to = settings_.text(prefix + "report_to");
    if (!to.empty()) {
      sender.report_to = ReportAddress::parse(to, settings_.flag(prefix + "report_tls"));
      if (!sender.report_to) problem("{}report_to must be HOST:PORT, not {}.", prefix, to);
    }
    read_report_certificate(prefix, sender);
    const std::string level = settings_.text(prefix + "commitment");
    sender.may_ask_commitment = level != "none";
    sender.commitment_level = commitment_level_from(level);
    sender.report_on_same_association =
        settings_.duration(prefix + "report_on_same_association_ms");
    sender.report_on_its_associations = settings_.flag(prefix + "report_on_its_associations");
    sender.report_without_role = settings_.flag(prefix + "report_without_role");
  }

  void read_report_certificate(const std::string& prefix, Sender& sender) {
    const std::string name = settings_.text(prefix + "report_tls_name");
    const std::string pin = settings_.text(prefix + "report_tls_pin");
    if (name.empty() && pin.empty()) return;
    if (!sender.report_to || !sender.report_to->tls) {
      problem("{}report_tls_name and report_tls_pin need report_to and report_tls.", prefix);
      return;
    }
    if (!name.empty() && !ReportAddress::is_host(name)) {
      problem("{}report_tls_name must be a host name, not {}.", prefix, name);
    }
    sender.report_to->tls_name = name;
    if (pin.empty()) return;
    const auto digits = ReportAddress::parse_pin(pin);
    if (!digits) problem("{}report_tls_pin must be a SHA-256 in hex.", prefix);
    sender.report_to->tls_pin_sha256 = digits.value_or("");
  }

  Route route(const std::string& name) {
    const std::string prefix = "routes." + name + ".";
    Route route;
    route.name = name;
    for (const std::string& text : settings_.list(prefix + "conditions")) {
      auto condition = RouteCondition::parse(text);
      if (!condition.ok()) {
        problem("{}conditions: {}", prefix, condition.error().message);
        continue;
      }
      route.conditions.push_back(std::move(condition).value());
    }
    route.destinations = destinations_of(prefix);
    if (route.destinations.empty()) {
      problem("{}destinations must name at least one destination.", prefix);
    }
    return route;
  }

  std::vector<std::string> titles(const std::string& setting) {
    std::vector<std::string> list = settings_.list(setting);
    for (const std::string& title : list) {
      if (!is_ae_title(title)) {
        problem("{}: {} is no AE title (1 to 16 characters, no spaces around it).", setting, title);
      }
    }
    return list;
  }

  // Of STOW-RS callers as well, whose names may be longer than an AE title.
  std::vector<std::string> calling_names(const std::string& setting) {
    std::vector<std::string> list = settings_.list(setting);
    for (const std::string& name : list) {
      if (!is_calling_name(name)) {
        problem("{}: {} is no AE title or caller's name (1 to 64 characters, no spaces around it).",
                setting, name);
      }
    }
    return list;
  }

  // Each once, and only those that there are.
  std::vector<std::string> destinations_of(const std::string& prefix) {
    const std::vector<std::string>& known = settings_.destinations();
    std::vector<std::string> list;
    for (const std::string& name : settings_.list(prefix + "destinations")) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        problem("{}destinations: there is no destination {}.", prefix, name);
      } else if (std::find(list.begin(), list.end(), name) == list.end()) {
        list.push_back(name);
      }
    }
    return list;
  }

  const Settings& settings_;
  SenderPolicy& policy_;
  std::vector<std::string>& problems_;
};

}  // namespace

ConfiguredSenders configured_senders(const Settings& settings) {
  ConfiguredSenders configured;
  Reader(settings, configured).read();
  return configured;
}

}  // namespace isthmus::app
