#include "senders/senders.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ids.h"
#include "dicom/sop_class.h"

namespace isthmus {
namespace {

constexpr std::array<std::string_view, 3> kModes{"discover", "known", "open"};
constexpr std::array<std::string_view, 6> kRefusals{
    "none", "called_ae_title", "unknown_sender", "sender_address", "sender_tls", "sender_blocked"};

constexpr std::size_t kFingerprintDigits = 64;

template <typename Enum, std::size_t count>
std::optional<Enum> from_word(const std::array<std::string_view, count>& words,
                              std::string_view word) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return std::nullopt;
  return static_cast<Enum>(found - words.begin());
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::string lower(std::string_view text) {
  std::string folded(text);
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return folded;
}

// "AB:CD:…" → "abcd…"; empty when it is not a SHA-256.
std::string fingerprint_of(std::string_view text) {
  std::string digits;
  for (const char c : lower(text)) {
    if (c == ':') continue;
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return {};
    digits.push_back(c);
  }
  return digits.size() == kFingerprintDigits ? digits : std::string();
}

bool proves(const TlsIdentity& identity, const std::string& expected) {
  const std::string fingerprint = fingerprint_of(expected);
  if (!fingerprint.empty()) return fingerprint == fingerprint_of(identity.fingerprint_sha256);
  const std::string name = lower(expected);
  if (!name.empty() && name == lower(identity.common_name)) return true;
  return std::any_of(identity.subject_names.begin(), identity.subject_names.end(),
                     [&](const std::string& other) { return name == lower(other); });
}

bool comes_from(const Sender& sender, std::string_view address) {
  return sender.addresses.empty() ||
         std::any_of(sender.addresses.begin(), sender.addresses.end(),
                     [&](const AddressRange& range) { return range.contains(address); });
}

bool calls_itself(const Sender& sender, std::string_view title) {
  return sender.calling_ae_titles.empty() || contains(sender.calling_ae_titles, title);
}

bool proves_to_be(const Sender& sender, const std::optional<TlsIdentity>& identity) {
  if (sender.tls_identities.empty()) return true;
  return identity &&
         std::any_of(sender.tls_identities.begin(), sender.tls_identities.end(),
                     [&](const std::string& expected) { return proves(*identity, expected); });
}

// Why `request` does not come from this sender; none when it does.
SenderRefusal compare(const Sender& sender, const SenderRequest& request) {
  if (!calls_itself(sender, request.calling_ae_title)) return SenderRefusal::unknown_sender;
  if (!comes_from(sender, request.peer_address)) return SenderRefusal::sender_address;
  if (!proves_to_be(sender, request.tls)) return SenderRefusal::sender_tls;
  if (request.has_called_ae_title && !sender.called_ae_titles.empty() &&
      !contains(sender.called_ae_titles, request.called_ae_title)) {
    return SenderRefusal::called_ae_title;
  }
  return SenderRefusal::none;
}

// How far a request got before it was refused.
int progress(SenderRefusal refusal) {
  switch (refusal) {
    case SenderRefusal::none:
      return 4;
    case SenderRefusal::called_ae_title:
      return 3;
    case SenderRefusal::sender_tls:
      return 2;
    case SenderRefusal::sender_address:
      return 1;
    case SenderRefusal::unknown_sender:
    case SenderRefusal::sender_blocked:
      break;
  }
  return 0;
}

// --- groups of SOP classes
// --------------------------------------------------------------------------

// The last components under the arc of storage classes (PS3.6 Table A-1), with what is below them.
struct Group {
  std::string_view name;
  std::vector<std::string_view> arcs;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> kGroups{
      {"images", {"1",  "2",  "3",  "4",    "5",    "6",    "7",    "12",  "13",  "14",
                  "20", "30", "77", "81.1", "82.1", "66.4", "66.7", "128", "130", "481.1"}},
      {"reports", {"88", "104", "79", "78"}},
      {"waveforms", {"9"}},
      {"presentation_states", {"11", "9.100", "131"}},
      {"radiotherapy", {"481"}},
  };
  return kGroups;
}

bool is_in_arc(std::string_view uid, std::string_view arc) {
  return uid.starts_with(arc) && (uid.size() == arc.size() || uid[arc.size()] == '.');
}

bool is_in_group(const Group& group, std::string_view uid) {
  constexpr std::string_view kStorageArc = "1.2.840.10008.5.1.4.1.1.";
  if (!uid.starts_with(kStorageArc)) return false;
  const std::string_view rest = uid.substr(kStorageArc.size());
  return std::any_of(group.arcs.begin(), group.arcs.end(),
                     [&](std::string_view arc) { return is_in_arc(rest, arc); });
}

bool rule_allows(std::string_view rule, std::string_view uid) {
  if (rule == uid || rule == dicom::sop_class_name(uid)) return true;
  if (rule == "other") {
    return std::none_of(groups().begin(), groups().end(),
                        [&](const Group& group) { return is_in_group(group, uid); });
  }
  return std::any_of(groups().begin(), groups().end(), [&](const Group& group) {
    return rule == group.name && is_in_group(group, uid);
  });
}

}  // namespace

std::string_view to_string(SenderMode mode) {
  return kModes[static_cast<std::size_t>(mode)];
}
std::optional<SenderMode> parse_sender_mode(std::string_view word) {
  return from_word<SenderMode>(kModes, word);
}
std::string_view to_string(SenderRefusal refusal) {
  return kRefusals[static_cast<std::size_t>(refusal)];
}

std::optional<ReportAddress> ReportAddress::parse(std::string_view text, bool tls) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // an IPv6 address without its brackets
  }
  ReportAddress address{std::string(host), 0, tls};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (!is_host(host) || error != std::errc() || end != digits.data() + digits.size() ||
      address.port == 0) {
    return std::nullopt;
  }
  return address;
}

std::optional<std::string> ReportAddress::parse_pin(std::string_view text) {
  std::string pin = fingerprint_of(text);
  if (pin.empty()) return std::nullopt;
  return pin;
}

bool ReportAddress::is_host(std::string_view text) {
  return !text.empty() && text.size() <= 253 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return c > ' ' && c < 0x7f && c != '/' && c != '[' && c != ']' && c != '@';
         });
}

std::string ReportAddress::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool allows_sop_class(const Sender& sender, std::string_view sop_class_uid) {
  return sender.sop_classes.empty() ||
         std::any_of(sender.sop_classes.begin(), sender.sop_classes.end(),
                     [&](const std::string& rule) { return rule_allows(rule, sop_class_uid); });
}

bool is_sop_class_rule(std::string_view text) {
  if (text == "other" || Uid::parse(text)) return true;
  const bool group = std::any_of(groups().begin(), groups().end(),
                                 [&](const Group& one) { return one.name == text; });
  const auto known = dicom::storage_sop_classes();
  return group || std::any_of(known.begin(), known.end(), [&](std::string_view uid) {
           return !text.empty() && dicom::sop_class_name(uid) == text;
         });
}

Senders::Senders(SenderPolicy policy) : configured_(std::move(policy)) {
  set_admitted({}, {});
}

std::shared_ptr<const Senders::InForce> Senders::policy() const {
  const std::lock_guard lock(mutex_);
  return policy_;
}

void Senders::set_admitted(std::vector<Sender> admitted, std::vector<Sender> blocked) {
  auto in_force = std::make_shared<InForce>();
  static_cast<SenderPolicy&>(*in_force) = configured_;
  in_force->blocked = std::move(blocked);
  for (Sender& sender : admitted) {
    const bool configured =
        std::any_of(configured_.senders.begin(), configured_.senders.end(),
                    [&](const Sender& other) { return other.name == sender.name; });
    if (!configured) in_force->senders.push_back(std::move(sender));
  }
  std::sort(in_force->senders.begin(), in_force->senders.end(),
            [](const Sender& a, const Sender& b) { return a.name < b.name; });
  const std::lock_guard lock(mutex_);
  policy_ = std::move(in_force);
  version_.fetch_add(1, std::memory_order_release);
}

SenderDecision Senders::admit(const SenderRequest& request) const {
  const auto policy = this->policy();
  if (request.has_called_ae_title && !policy->ae_titles.empty() &&
      !contains(policy->ae_titles, request.called_ae_title)) {
    return {SenderRefusal::called_ae_title, {}};
  }
  for (const Sender& blocked : policy->blocked) {
    if (compare(blocked, request) == SenderRefusal::none) {
      return {SenderRefusal::sender_blocked, {}};
    }
  }
  SenderRefusal furthest = SenderRefusal::unknown_sender;
  for (const Sender& sender : policy->senders) {
    const SenderRefusal refusal = compare(sender, request);
    if (refusal == SenderRefusal::none) return {refusal, sender};
    if (progress(refusal) > progress(furthest)) furthest = refusal;
  }
  if (policy->mode == SenderMode::open) return {};
  return {furthest, {}};
}

std::optional<Sender> Senders::find(std::string_view name) const {
  const auto policy = this->policy();
  for (const Sender& sender : policy->senders) {
    if (sender.name == name) return sender;
  }
  return std::nullopt;
}

std::optional<Sender> Senders::find_by_ae_title(std::string_view calling_ae_title) const {
  const auto policy = this->policy();
  for (const Sender& sender : policy->senders) {
    if (contains(sender.calling_ae_titles, calling_ae_title)) return sender;
  }
  return std::nullopt;
}

void Senders::refused(const SenderRequest& request, SenderRefusal refusal,
                      std::string_view asked) const {
  const bool is_for_a_person =
      mode() == SenderMode::discover && refusal != SenderRefusal::sender_blocked;
  if (is_for_a_person && note_refused_) note_refused_(request, refusal, asked);
}

RouteDecision Senders::route(const Sender& sender, const RouteAttributes& attributes) const {
  return policy()->routes.decide(attributes, sender.destinations);
}

}  // namespace isthmus
