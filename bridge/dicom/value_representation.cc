#include "dicom/value_representation.h"

// DCMTK's own configuration comes first.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>

namespace isthmus::dicom {
namespace {

// VRs of the default repertoire, whose syntax DCMTK knows.
struct SyntaxRule {
  std::string_view vr;
  OFCondition (*check)(const OFString& value);
  std::string_view misfit;
};
constexpr std::array kSyntax{
    SyntaxRule{"AE",
               [](const OFString& v) { return DcmApplicationEntity::checkStringValue(v, "1"); },
               "is no AE title of at most 16 characters"},
    SyntaxRule{"AS", [](const OFString& v) { return DcmAgeString::checkStringValue(v, "1"); },
               "is no age such as 042Y"},
    SyntaxRule{"CS", [](const OFString& v) { return DcmCodeString::checkStringValue(v, "1"); },
               "is no code of at most 16 capitals, digits, spaces and underscores"},
    SyntaxRule{"DA", [](const OFString& v) { return DcmDate::checkStringValue(v, "1"); },
               "is no day such as 20260131"},
    SyntaxRule{"DS", [](const OFString& v) { return DcmDecimalString::checkStringValue(v, "1"); },
               "is no decimal number of at most 16 characters"},
    SyntaxRule{"DT", [](const OFString& v) { return DcmDateTime::checkStringValue(v, "1"); },
               "is no date and time such as 20260131093000"},
    SyntaxRule{"IS", [](const OFString& v) { return DcmIntegerString::checkStringValue(v, "1"); },
               "is no integer from -2147483648 to 2147483647"},
    SyntaxRule{"TM", [](const OFString& v) { return DcmTime::checkStringValue(v, "1"); },
               "is no time such as 093000"},
    SyntaxRule{"UI",
               [](const OFString& v) { return DcmUniqueIdentifier::checkStringValue(v, "1"); },
               "is no UID"},
    SyntaxRule{"UR",
               [](const OFString& v) {
                 return DcmUniversalResourceIdentifierOrLocator::checkStringValue(v);
               },
               "is no URI"},
};

// VRs of any repertoire. DCMTK checks them in ASCII and Latin-1 only.
struct TextRule {
  std::string_view vr;
  std::size_t most_characters;
  bool has_lines;  // TAB, LF, FF, CR and backslash are text
  std::string_view misfit;
};
constexpr std::size_t kNoLimit = 0xFFFFFFFEU;
constexpr std::array kTexts{
    TextRule{"SH", 16, false,
             "is no text of one line and at most 16 characters, without backslash"},
    TextRule{"LO", 64, false,
             "is no text of one line and at most 64 characters, without backslash"},
    TextRule{"UC", kNoLimit, false, "is no text of one line, without backslash"},
    TextRule{"ST", 1024, true, "is no text of at most 1024 characters"},
    TextRule{"LT", 10240, true, "is no text of at most 10240 characters"},
    TextRule{"UT", kNoLimit, true, "has control characters"},
};
constexpr std::size_t kNameGroups = 3, kNameComponents = 5, kNameGroupCharacters = 64;
constexpr std::string_view kNoName =
    "is no person name: at most three groups of 64 characters, each of at most five components, "
    "without backslash";

std::size_t characters(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

bool has_text_alone(std::string_view text, bool has_lines) {
  return std::ranges::none_of(text, [has_lines](char c) {
    if (c == '\\' || c == '\t' || c == '\n' || c == '\f' || c == '\r') return !has_lines;
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

bool is_name(std::string_view text) {
  if (!has_text_alone(text, false)) return false;
  std::size_t groups = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('=', begin), text.size());
    const std::string_view group = text.substr(begin, end - begin);
    const auto delimiters = static_cast<std::size_t>(std::ranges::count(group, '^'));
    if (characters(group) > kNameGroupCharacters || delimiters >= kNameComponents) return false;
    ++groups;
    begin = end + 1;
  }
  return groups <= kNameGroups;
}

// Of "20260131": 31 February has the form of a day.
bool is_in_calendar(std::string_view day) {
  int parts[3] = {};
  constexpr std::array<std::pair<std::size_t, std::size_t>, 3> kPlaces{{{0, 4}, {4, 2}, {6, 2}}};
  for (std::size_t i = 0; i < kPlaces.size(); ++i) {
    const std::string_view part = day.substr(kPlaces[i].first, kPlaces[i].second);
    std::from_chars(part.data(), part.data() + part.size(), parts[i]);
  }
  using namespace std::chrono;
  return year_month_day(year(parts[0]), month(static_cast<unsigned>(parts[1])),
                        std::chrono::day(static_cast<unsigned>(parts[2])))
      .ok();
}

bool is_in_range(std::string_view integer) {
  while (integer.starts_with(' ') || integer.starts_with('+')) integer.remove_prefix(1);
  std::int32_t number = 0;
  return std::from_chars(integer.data(), integer.data() + integer.size(), number).ec == std::errc{};
}

bool means_something(std::string_view vr, std::string_view value) {
  if (vr == "DA") return is_in_calendar(value);
  if (vr == "DT" && value.size() >= 8) return is_in_calendar(value.substr(0, 8));
  return vr != "IS" || is_in_range(value);
}

}  // namespace

std::string_view misfit(std::string_view vr, std::string_view value) {
  while (value.ends_with(' ')) value.remove_suffix(1);
  if (value.empty()) return {};
  if (vr == "PN") return is_name(value) ? std::string_view() : kNoName;
  for (const TextRule& rule : kTexts) {
    if (rule.vr != vr) continue;
    const bool fits =
        characters(value) <= rule.most_characters && has_text_alone(value, rule.has_lines);
    return fits ? std::string_view() : rule.misfit;
  }
  for (const SyntaxRule& rule : kSyntax) {
    if (rule.vr != vr) continue;
    const bool fits =
        rule.check(OFString(value.data(), value.size())).good() && means_something(vr, value);
    return fits ? std::string_view() : rule.misfit;
  }
  return {};
}

}  // namespace isthmus::dicom
