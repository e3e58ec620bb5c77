#include "senders/desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "senders/definition.h"

namespace isthmus {
namespace {

constexpr std::string_view kAnywhere = "any";
constexpr std::size_t kMostNameBytes = 32;
constexpr std::size_t kMostIdentityBytes = 256;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMostNameBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
         });
}

Error bad_order(const std::string& what) {
  return permanent_error("sender.bad_order", what);
}

Result<std::vector<AddressRange>> ranges_of(const std::vector<std::string>& texts) {
  std::vector<AddressRange> ranges;
  for (const std::string& text : texts) {
    const auto range = AddressRange::parse(text);
    if (!range) {
      return bad_order(printable(text, 64) +
                       " is neither an address nor a network as 10.1.0.0/16, nor any.");
    }
    ranges.push_back(*range);
  }
  return ranges;
}

bool comes_from(const Sender& sender, const RefusedSender& refused) {
  const auto& titles = sender.calling_ae_titles;
  return std::find(titles.begin(), titles.end(), refused.calling_ae_title) != titles.end() &&
         (sender.addresses.empty() || std::any_of(sender.addresses.begin(), sender.addresses.end(),
                                                  [&](const AddressRange& range) {
                                                    return range.contains(refused.peer_address);
                                                  }));
}

std::string addresses_text(const Sender& sender) {
  if (sender.addresses.empty()) return "anywhere";
  std::string text;
  for (const AddressRange& range : sender.addresses) {
    text += (text.empty() ? "" : ", ") + range.text();
  }
  return text;
}

// What a person may ask for: far more than any sender needs, and nothing that is no number.
Result<void> apply_limits(const SenderOrder& order, Sender& sender) {
  constexpr double kMost = 1e12;
  constexpr double kMostAssociations = 10'000;
  for (const auto& limit :
       {order.associations, order.instances_per_second, order.bytes_per_second}) {
    if (limit && !(*limit >= 0 && *limit <= kMost)) {
      return bad_order("A limit is a number from 0, which is none, to 1e12.");
    }
  }
  if (order.associations) {
    const auto whole = static_cast<std::size_t>(std::min(*order.associations, kMostAssociations));
    if (static_cast<double>(whole) != *order.associations) {
      return bad_order("Associations are a whole number, 10000 at most.");
    }
    sender.limits.associations = whole;
  }
  if (order.instances_per_second) {
    sender.limits.instances_per_second = *order.instances_per_second;
  }
  if (order.bytes_per_second) sender.limits.bytes_per_second = *order.bytes_per_second;
  return {};
}

Result<void> apply_report_to(const SenderOrder& order, Sender& sender) {
  if (!order.report_to.empty()) {
    sender.report_to = ReportAddress::parse(order.report_to, order.report_tls);
    if (!sender.report_to) return bad_order("--report-to must be HOST:PORT.");
  }
  if (order.report_tls_name.empty() && order.report_tls_pin.empty()) return {};
  if (!sender.report_to || !sender.report_to->tls) {
    return bad_order("--report-tls-name and --report-tls-pin need reports by TLS.");
  }
  if (!order.report_tls_name.empty()) {
    if (!ReportAddress::is_host(order.report_tls_name))
      return bad_order("--report-tls-name must be a name.");
    sender.report_to->tls_name = order.report_tls_name;
  }
  if (!order.report_tls_pin.empty()) {
    const auto pin = ReportAddress::parse_pin(order.report_tls_pin);
    if (!pin) return bad_order("--report-tls-pin must be a SHA-256 in hex.");
    sender.report_to->tls_pin_sha256 = *pin;
  }
  return {};
}

}  // namespace

bool is_ae_title(std::string_view text) {
  return text.size() <= 16 && is_calling_name(text);
}

bool is_calling_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.front() != ' ' && text.back() != ' ' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != '\\'; });
}

std::string sender_name_of(std::string_view ae_title) {
  std::string name;
  for (const char c : ae_title) {
    const bool upper = c >= 'A' && c <= 'Z';
    const char lower = upper ? static_cast<char>(c - 'A' + 'a') : c;
    name += is_name(std::string_view(&lower, 1)) ? lower : '-';
  }
  return name;
}

SenderDesk::SenderDesk(Env& env, SenderRows& rows, Senders* senders, SenderPolicy configured,
                       std::vector<std::string> destinations)
    : env_(env),
      rows_(rows),
      senders_(senders),
      configured_(std::move(configured)),
      destinations_(std::move(destinations)) {}

Result<std::vector<SenderDesk::Word>> SenderDesk::words() {
  TRY_ASSIGN(const std::vector<SenderRow> rows, rows_.senders());
  std::vector<Word> words;
  for (const SenderRow& row : rows) {
    auto sender = sender_from(row.name, row.definition);
    Word word;
    word.sender.name = row.name;
    if (sender.ok()) word.sender = std::move(sender).value();
    word.blocked = row.blocked;
    word.changed_at = row.changed_at;
    words.push_back(std::move(word));
  }
  return words;
}

Result<void> SenderDesk::load() {
  if (senders_ == nullptr) return {};
  TRY_ASSIGN(const std::vector<SenderRow> rows, rows_.senders());
  std::vector<Sender> admitted, blocked;
  for (const SenderRow& row : rows) {
    auto sender = sender_from(row.name, row.definition);
    if (!sender.ok()) {
      env_.log.error("sender.unreadable",
                     {{"sender", row.name}, {"error", describe(sender.error())}});
      continue;
    }
    (row.blocked ? blocked : admitted).push_back(std::move(sender).value());
  }
  for (const Sender& sender : admitted) {
    for (const std::string& name : sender.destinations.value_or(std::vector<std::string>{})) {
      if (std::find(destinations_.begin(), destinations_.end(), name) != destinations_.end()) {
        continue;
      }
      env_.log.error("sender.destination_gone", {{"sender", sender.name}, {"destination", name}});
    }
  }
  senders_->set_admitted(std::move(admitted), std::move(blocked));
  return {};
}

Result<std::string> SenderDesk::carry_out(const SenderOrder& order) {
  Result<std::string> done = order.kind == SenderOrder::Kind::admit   ? admit(order)
                             : order.kind == SenderOrder::Kind::block ? block(order)
                                                                      : remove(order);
  if (done.ok()) TRY(load());
  return done;
}

Result<void> SenderDesk::keep(const Sender& sender, bool blocked) {
  TRY(rows_.put({sender.name, blocked, definition_of(sender), env_.clock.wall_now()}));
  env_.log.info(blocked ? "sender.blocked" : "sender.admitted",
                {{"sender", sender.name}, {"addresses", addresses_text(sender)}});
  // Those that use the title from elsewhere are remembered still.
  TRY_ASSIGN(const auto refused, rows_.refused());
  for (const RefusedSender& one : refused) {
    if (comes_from(sender, one)) TRY(rows_.forget(one.calling_ae_title, one.peer_address));
  }
  return {};
}

// The addresses of the order, or the one that the sender was seen at.
Result<void> SenderDesk::fill_addresses(const SenderOrder& order, Sender& sender) {
  if (order.from == std::vector<std::string>{std::string(kAnywhere)}) return {};
  if (!order.from.empty()) {
    TRY_ASSIGN(sender.addresses, ranges_of(order.from));
    return {};
  }
  TRY_ASSIGN(const std::vector<RefusedSender> refused, rows_.refused());
  std::set<std::string> seen;
  for (const RefusedSender& one : refused) {
    if (one.calling_ae_title == order.who) seen.insert(one.peer_address);
  }
  if (seen.empty()) {
    return permanent_error(
        "sender.unknown",
        "Nobody was refused under that AE title: look at isthmus senders, or say "
        "where it will come from with --from.");
  }
  if (seen.size() > 1) {
    return permanent_error("sender.ambiguous",
                           fmt::format("It was seen at {} addresses ({}): say with --from which of "
                                       "them it is.",
                                       seen.size(), fmt::join(seen, ", ")));
  }
  TRY_ASSIGN(sender.addresses, ranges_of({*seen.begin()}));
  return {};
}

Result<Sender> SenderDesk::sender_of(const SenderOrder& order) {
  Sender sender;
  if (!is_calling_name(order.who)) {
    return bad_order(
        "An AE title has 1 to 16 printable characters (a caller's name of STOW-RS up to 64), and "
        "no spaces around them.");
  }
  sender.calling_ae_titles = {order.who};
  sender.name = order.name.empty() ? sender_name_of(order.who) : order.name;
  if (!is_name(sender.name)) return bad_order("A name is 1 to 32 of a-z, 0-9, - and _.");
  for (const Sender& configured : configured_.senders) {
    if (configured.name != sender.name) continue;
    return permanent_error("sender.configured",
                           "The configuration has a sender " + sender.name +
                               ": change it there, or give this one another --name.");
  }
  TRY(fill_addresses(order, sender));
  return sender;
}

Result<std::optional<Sender>> SenderDesk::known_as(const std::string& name) {
  TRY_ASSIGN(const std::vector<Word> known, words());
  for (const Word& word : known) {
    if (word.sender.name == name) return std::optional(word.sender);
  }
  return std::optional<Sender>();
}

Result<void> SenderDesk::apply_wishes(const SenderOrder& order, Sender& sender) const {
  for (const std::string& title : order.called) {
    if (!is_ae_title(title)) return bad_order(printable(title, 64) + " is no AE title.");
  }
  for (const std::string& rule : order.sop_classes) {
    if (!is_sop_class_rule(rule)) {
      return bad_order(printable(rule, 64) + " is neither a UID, a storage class nor a group.");
    }
  }
  for (const std::string& name : order.destinations) {
    if (std::find(destinations_.begin(), destinations_.end(), name) == destinations_.end()) {
      return bad_order("There is no destination " + printable(name, 64) + ".");
    }
  }
  for (const std::string& identity : order.tls_identities) {
    if (identity.empty() || printable(identity, kMostIdentityBytes) != identity) {
      return bad_order("A certificate is named by printable text of at most 256 bytes.");
    }
  }
  if (!order.called.empty()) sender.called_ae_titles = order.called;
  if (!order.sop_classes.empty()) sender.sop_classes = order.sop_classes;
  if (!order.tls_identities.empty()) sender.tls_identities = order.tls_identities;
  const std::set<std::string> once(order.destinations.begin(), order.destinations.end());
  if (!once.empty()) sender.destinations.emplace(once.begin(), once.end());
  TRY(apply_limits(order, sender));
  return apply_report_to(order, sender);
}

Result<std::string> SenderDesk::admit(const SenderOrder& order) {
  TRY_ASSIGN(std::optional<Sender> sender, known_as(order.who));
  if (!sender) {
    TRY_ASSIGN(sender, sender_of(order));
  } else if (!order.from.empty()) {
    sender->addresses.clear();
    TRY(fill_addresses(order, *sender));
  }
  TRY(apply_wishes(order, *sender));
  TRY(keep(*sender, false));
  return fmt::format("{} is admitted: AE title {} from {}", sender->name,
                     fmt::join(sender->calling_ae_titles, ", "), addresses_text(*sender));
}

Result<std::string> SenderDesk::block(const SenderOrder& order) {
  TRY_ASSIGN(const std::optional<Sender> known, known_as(order.who));
  if (known) {
    TRY(keep(*known, true));
    return known->name + " is blocked";
  }
  SenderOrder with_addresses = order;
  if (order.from.empty()) with_addresses.from = {std::string(kAnywhere)};
  TRY_ASSIGN(const Sender sender, sender_of(with_addresses));
  TRY(keep(sender, true));
  return fmt::format("{} is blocked: AE title {} from {}", sender.name, order.who,
                     addresses_text(sender));
}

Result<std::string> SenderDesk::remove(const SenderOrder& order) {
  TRY_ASSIGN(const bool had, rows_.remove(order.who));
  if (had) {
    env_.log.info("sender.removed", {{"sender", order.who}});
    return order.who + " is removed";
  }
  for (const Sender& configured : configured_.senders) {
    if (configured.name != order.who) continue;
    return permanent_error("sender.configured", "The configuration has the sender " +
                                                    configured.name + ": remove it there.");
  }
  TRY_ASSIGN(const std::int64_t forgotten, rows_.forget(order.who, ""));
  if (forgotten == 0) {
    return permanent_error("sender.unknown", "Nobody of that name or AE title is known.");
  }
  return fmt::format("{} refused senders with that AE title are forgotten", forgotten);
}

}  // namespace isthmus
