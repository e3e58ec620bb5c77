#include "dicom/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "dicom/part10.h"
#include "dicom/transfer_syntax.h"
#include "dicom/walk/scan.h"

namespace isthmus::dicom {
namespace {

constexpr std::size_t kHeadBytes = 64 * KiB;  // group 0002 is never longer (dicom/part10.h)
constexpr std::size_t kKept = 1024;           // of a value: more than any limit below
constexpr Tag kSpecificCharacterSet = make_tag(0x0008, 0x0005);

// The elements that services index by, and how many characters their VRs allow (PS3.5 Table
// 6.2-1). A person's name is 64 in each of its component groups.
struct Rule {
  Tag tag;
  std::size_t most;
  bool is_uid = false;
  bool is_name = false;
  bool is_required = false;
};
constexpr std::array<Rule, 17> kRules{{{kSopClassUid, 64, true, false, true},
                                       {kSopInstanceUid, 64, true, false, true},
                                       {make_tag(0x0008, 0x0020), 8},   // Study Date
                                       {make_tag(0x0008, 0x0030), 14},  // Study Time
                                       {make_tag(0x0008, 0x0050), 16},  // Accession Number
                                       {kModality, 16},
                                       {make_tag(0x0008, 0x0090), 64, false, true},  // Referring
                                       {kStudyDescription, 64},
                                       {make_tag(0x0008, 0x103E), 64},  // Series Description
                                       {make_tag(0x0010, 0x0010), 64, false, true},
                                       {kPatientId, 64},
                                       {make_tag(0x0010, 0x0021), 64},  // Issuer of Patient ID
                                       {make_tag(0x0010, 0x0030), 8},   // Birth Date
                                       {make_tag(0x0010, 0x0040), 16},  // Sex
                                       {kStudyInstanceUid, 64, true, false, true},
                                       {kSeriesInstanceUid, 64, true, false, true},
                                       {make_tag(0x0020, 0x0010), 16}}};  // Study ID

const Rule* rule_of(Tag tag) {
  const auto found = std::ranges::find(kRules, tag, &Rule::tag);
  return found == kRules.end() ? nullptr : &*found;
}

std::string_view without_padding(std::string_view value) {
  while (!value.empty() && (value.back() == ' ' || value.back() == '\0')) value.remove_suffix(1);
  return value;
}

// As far as the character set tells: characters of UTF-8, at most half the bytes of the others with
// several bytes to a character.
std::size_t characters(std::string_view value, std::string_view character_set) {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  if (character_set.find("ISO_IR 192") != std::string_view::npos) {
    return value.size() - static_cast<std::size_t>(std::ranges::count_if(value, continues));
  }
  const bool wide = character_set.find("ISO 2022") != std::string_view::npos ||
                    character_set.find("GB") != std::string_view::npos;
  return wide ? value.size() / 2 : value.size();
}

// The longest part between `separators`: values of an element, component groups of a name.
std::size_t longest(std::string_view value, std::string_view separators,
                    std::string_view character_set) {
  std::size_t most = 0;
  while (true) {
    const std::size_t end = value.find_first_of(separators);
    most = std::max(most, characters(without_padding(value.substr(0, end)), character_set));
    if (end == std::string_view::npos) return most;
    value.remove_prefix(end + 1);
  }
}

// PS3.5 section 9.1, strictly: the receive path tolerates leading zeros, services do not.
bool is_strict_uid(std::string_view uid) {
  if (uid.size() > 64) return false;
  for (std::string_view rest = uid;;) {
    const std::size_t dot = rest.find('.');
    const std::string_view component = rest.substr(0, dot);
    const bool digits = std::ranges::all_of(component, [](char c) { return c >= '0' && c <= '9'; });
    if (component.empty() || !digits || (component.size() > 1 && component.front() == '0')) {
      return false;
    }
    if (dot == std::string_view::npos) return true;
    rest.remove_prefix(dot + 1);
  }
}

class RuleVisitor final : public WalkVisitor {
 public:
  Wish element(const ElementHead& head) override {
    if (!head.top_level()) return {};
    if (head.tag > kSeriesInstanceUid && head.tag > make_tag(0x0020, 0x0010)) return {0, true};
    const bool wanted = rule_of(head.tag) != nullptr || head.tag == kSpecificCharacterSet;
    return {wanted ? kKept : 0, false};
  }

  void value(const ElementHead& head, std::string_view bytes) override {
    if (head.tag == kSpecificCharacterSet) character_set_ = bytes;
    const Rule* rule = rule_of(head.tag);
    if (rule == nullptr) return;
    const std::string_view text = without_padding(bytes);
    if (rule->is_required && text.empty()) return;
    seen_.insert(head.tag);
    if (rule->is_uid) {
      if (!is_strict_uid(text)) {
        add("preflight.uid_syntax", head.tag, "is no UID by PS3.5 section 9.1");
      }
      return;
    }
    const std::string_view separators = rule->is_name ? "\\=" : "\\";
    const bool cut = head.length > kKept && head.length != kUndefinedLength;
    if (cut || longest(text, separators, character_set_) > rule->most) {
      add("preflight.element_too_long", head.tag,
          fmt::format("has more than {} characters", rule->most));
    }
  }

  std::vector<PreflightFinding> take() {
    for (const Rule& rule : kRules) {
      if (rule.is_required && !seen_.contains(rule.tag)) {
        add("preflight.missing_element", rule.tag, "is absent or empty");
      }
    }
    return std::move(findings_);
  }

 private:
  void add(const char* code, Tag tag, const std::string& what) {
    findings_.push_back({code, tag_text(tag) + " " + what + "."});
  }

  std::string character_set_;
  std::set<Tag> seen_;
  std::vector<PreflightFinding> findings_;
};

// What is not of the data set: the file, its size, its syntax.
void examine_file(const TransferSyntax* syntax, std::uint64_t size_bytes,
                  const PreflightRules& rules, std::vector<PreflightFinding>& findings) {
  const bool importable = syntax != nullptr && syntax->import != Import::refused;
  if (rules.only_importable_syntaxes && !importable) {
    findings.push_back({"preflight.transfer_syntax",
                        "The transfer syntax is not in the list of those that are imported."});
  }
  if (size_bytes > rules.most_bytes) {
    findings.push_back(
        {"preflight.too_large",
         fmt::format("A file of an import job has at most {} bytes.", rules.most_bytes)});
  }
}

Result<Bytes> head_of(ByteSource& file) {
  Bytes head(kHeadBytes);
  std::size_t have = 0;
  while (have < head.size()) {
    TRY_ASSIGN(const std::size_t got, file.read(MutableByteSpan(head).subspan(have)));
    if (got == 0) break;
    have += got;
  }
  head.resize(have);
  return head;
}

}  // namespace

Result<std::vector<PreflightFinding>> preflight(ByteSource& part10_file,
                                                const PreflightRules& rules) {
  TRY_ASSIGN(const Bytes bytes, head_of(part10_file));
  const auto head = read_file_head(bytes);
  if (!head.ok()) {
    return std::vector<PreflightFinding>{{"preflight.unreadable", head.error().message}};
  }
  std::vector<PreflightFinding> findings;
  examine_file(find_transfer_syntax(head->transfer_syntax_uid), part10_file.size(), rules,
               findings);
  TRY(part10_file.rewind());
  const auto dataset =
      slice_of(part10_file, head->dataset_offset_bytes,
               part10_file.size() - std::min(part10_file.size(), head->dataset_offset_bytes));
  const TransferSyntax& syntax = transfer_syntax_or_default(head->transfer_syntax_uid);
  RuleVisitor visitor;
  Walker walker({.implicit_vr = syntax.implicit_vr, .big_endian = syntax.big_endian}, WalkLimits{},
                visitor);
  const auto read = read_through(*dataset, syntax, ScanLimits{}, [&walker](ByteSpan piece) {
    return walker.feed(piece) == Walker::State::more;
  });
  if (!read.ok() && !read.error().code.starts_with("dicom.")) return read.error();
  const bool broken = !read.ok() || walker.state() == Walker::State::failed;
  if (broken) {
    const Error& why = read.ok() ? walker.error() : read.error();
    findings.push_back({"preflight.unreadable", why.message});
    return findings;
  }
  for (PreflightFinding& one : visitor.take()) findings.push_back(std::move(one));
  return findings;
}

}  // namespace isthmus::dicom
