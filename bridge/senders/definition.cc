#include "senders/definition.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <map>

namespace isthmus {
namespace {

// As senders.*.report_on_same_association_ms.
constexpr Milliseconds kLongestOnSameAssociation{600'000};

void write(std::string& text, std::string_view word, const std::string& value) {
  text += fmt::format("{} {}\n", word, value);
}
void write_all(std::string& text, std::string_view word, const std::vector<std::string>& values) {
  for (const std::string& value : values) write(text, word, value);
}

template <typename Number>
bool read_number(const std::string& value, Number& into) {
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), into);
  return error == std::errc() && end == value.data() + value.size() && into >= 0;
}

using Reader = std::function<bool(Sender&, const std::string& value)>;

bool read_range(Sender& sender, const std::string& value) {
  const auto range = AddressRange::parse(value);
  if (range) sender.addresses.push_back(*range);
  return range.has_value();
}

bool read_destination(Sender& sender, const std::string& value) {
  if (!sender.destinations) sender.destinations.emplace();
  sender.destinations->push_back(value);
  return true;
}

// Behind the address that they belong to.
bool read_tls_name(Sender& sender, const std::string& value) {
  if (!sender.report_to || !ReportAddress::is_host(value)) return false;
  sender.report_to->tls_name = value;
  return true;
}
bool read_tls_pin(Sender& sender, const std::string& value) {
  const auto pin = ReportAddress::parse_pin(value);
  if (!sender.report_to || !pin) return false;
  sender.report_to->tls_pin_sha256 = *pin;
  return true;
}

Reader list(std::vector<std::string> Sender::*member) {
  return [member](Sender& sender, const std::string& value) {
    (sender.*member).push_back(value);
    return true;
  };
}

const std::map<std::string, Reader, std::less<>>& readers() {
  static const std::map<std::string, Reader, std::less<>> kReaders{
      {"calling_ae_title", list(&Sender::calling_ae_titles)},
      {"called_ae_title", list(&Sender::called_ae_titles)},
      {"address", read_range},
      {"tls_identity", list(&Sender::tls_identities)},
      {"sop_class", list(&Sender::sop_classes)},
      {"destination", read_destination},
      {"report_to",
       [](Sender& s, const std::string& v) { return bool(s.report_to = ReportAddress::parse(v)); }},
      {"report_to_by_tls",
       [](Sender& s, const std::string& v) {
         return bool(s.report_to = ReportAddress::parse(v, true));
       }},
      {"report_tls_name", read_tls_name},
      {"report_tls_pin", read_tls_pin},
      {"commitment",
       [](Sender& s, const std::string& v) {
         s.may_ask_commitment = v != "none";
         return v == "none" || (s.commitment_level = commitment_level_from(v));
       }},
      {"report_on_same_association_ms",
       [](Sender& s, const std::string& v) {
         std::int64_t milliseconds = 0;
         const bool good = read_number(v, milliseconds);
         s.report_on_same_association = Milliseconds(milliseconds);
         return good && s.report_on_same_association <= kLongestOnSameAssociation;
       }},
      {"report_on_its_associations",
       [](Sender& s, const std::string& v) { return s.report_on_its_associations = v == "true"; }},
      {"report_without_role",
       [](Sender& s, const std::string& v) { return !(s.report_without_role = v != "false"); }},
      {"associations",
       [](Sender& s, const std::string& v) { return read_number(v, s.limits.associations); }},
      {"instances_per_second",
       [](Sender& s, const std::string& v) {
         return read_number(v, s.limits.instances_per_second);
       }},
      {"bytes_per_second",
       [](Sender& s, const std::string& v) { return read_number(v, s.limits.bytes_per_second); }},
  };
  return kReaders;
}

}  // namespace

std::string definition_of(const Sender& sender) {
  std::string text;
  write_all(text, "calling_ae_title", sender.calling_ae_titles);
  write_all(text, "called_ae_title", sender.called_ae_titles);
  for (const AddressRange& range : sender.addresses) write(text, "address", range.text());
  write_all(text, "tls_identity", sender.tls_identities);
  write_all(text, "sop_class", sender.sop_classes);
  if (sender.destinations) write_all(text, "destination", *sender.destinations);
  if (sender.report_to) {
    write(text, sender.report_to->tls ? "report_to_by_tls" : "report_to", sender.report_to->text());
    const ReportAddress& to = *sender.report_to;
    if (!to.tls_name.empty()) write(text, "report_tls_name", to.tls_name);
    if (!to.tls_pin_sha256.empty()) write(text, "report_tls_pin", to.tls_pin_sha256);
  }
  if (sender.report_on_same_association > Milliseconds(0)) {
    write(text, "report_on_same_association_ms",
          std::to_string(sender.report_on_same_association.count()));
  }
  if (sender.report_on_its_associations) write(text, "report_on_its_associations", "true");
  if (!sender.report_without_role) write(text, "report_without_role", "false");
  if (!sender.may_ask_commitment) {
    write(text, "commitment", "none");
  } else if (sender.commitment_level) {
    write(text, "commitment", std::string(to_string(*sender.commitment_level)));
  }
  if (sender.limits.associations > 0) {
    write(text, "associations", std::to_string(sender.limits.associations));
  }
  if (sender.limits.instances_per_second > 0) {
    write(text, "instances_per_second", fmt::format("{}", sender.limits.instances_per_second));
  }
  if (sender.limits.bytes_per_second > 0) {
    write(text, "bytes_per_second", fmt::format("{}", sender.limits.bytes_per_second));
  }
  return text;
}

Result<Sender> sender_from(std::string_view name, std::string_view definition) {
  Sender sender;
  sender.name = name;
  while (!definition.empty()) {
    const std::string_view line = definition.substr(0, definition.find('\n'));
    definition.remove_prefix(std::min(line.size() + 1, definition.size()));
    const std::string_view word = line.substr(0, line.find(' '));
    const auto reader = readers().find(word);
    const std::string value(line.substr(std::min(word.size() + 1, line.size())));
    if (value.empty() || reader == readers().end() || !reader->second(sender, value)) {
      return permanent_error("sender.bad_definition",
                             "The sender " + sender.name +
                                 " was written by a newer program or is damaged: remove it and "
                                 "admit it again.");
    }
  }
  return sender;
}

std::string printable(std::string_view text, std::size_t most_bytes) {
  std::string shown;
  for (const char c : text) {
    const bool plain = c >= ' ' && c <= '~' && c != '\\';
    const std::string next =
        plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    if (shown.size() + next.size() > most_bytes) break;
    shown += next;
  }
  return shown;
}

}  // namespace isthmus
