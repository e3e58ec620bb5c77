#include "api/value_check.h"

#include <algorithm>
#include <array>
#include <limits>

#include "dicom/value_representation.h"

namespace isthmus::api {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 8> kNumbers{"US", "SS", "UL", "SL", "FL", "FD", "SV", "UV"};
constexpr std::array<std::string_view, 7> kBytes{"OB", "OW", "OD", "OF", "OL", "OV", "UN"};

bool is_number(std::string_view vr) {
  return std::ranges::find(kNumbers, vr) != kNumbers.end();
}

bool is_bytes(std::string_view vr) {
  return std::ranges::find(kBytes, vr) != kBytes.end();
}

bool is_binary(std::string_view vr) {
  return is_number(vr) || is_bytes(vr);
}

template <typename Number>
bool is_within(const json& value) {
  if (value.is_number_unsigned()) {
    return value.get<std::uint64_t>() <=
           static_cast<std::uint64_t>(std::numeric_limits<Number>::max());
  }
  const auto number = value.get<std::int64_t>();
  if constexpr (std::is_unsigned_v<Number>) {
    return number >= 0;
  } else {
    return number >= std::int64_t{std::numeric_limits<Number>::min()} &&
           number <= std::int64_t{std::numeric_limits<Number>::max()};
  }
}

std::string_view misfit_of_number(std::string_view vr, const json& value) {
  if (vr == "FL" || vr == "FD") return value.is_number() ? "" : "is no number";
  if (!value.is_number_integer()) return "is no integer";
  const bool fits = (vr == "US" && is_within<std::uint16_t>(value)) ||
                    (vr == "SS" && is_within<std::int16_t>(value)) ||
                    (vr == "UL" && is_within<std::uint32_t>(value)) ||
                    (vr == "SL" && is_within<std::int32_t>(value)) ||
                    (vr == "UV" && is_within<std::uint64_t>(value)) ||
                    (vr == "SV" && is_within<std::int64_t>(value));
  return fits ? "" : "is out of range";
}

// As one text: {"Alphabetic": "A", "Phonetic": "C"} is "A==C".
std::string name_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.value("Alphabetic", "") + "=" + value.value("Ideographic", "") + "=" +
         value.value("Phonetic", "");
}

// A "=" within a group would make another group of it, and a second one of what follows.
bool has_delimiter_in_group(const json& value) {
  return value.is_object() && std::ranges::any_of(value, [](const json& group) {
           return group.is_string() &&
                  group.get_ref<const std::string&>().find('=') != std::string::npos;
         });
}

std::string_view misfit_of(std::string_view vr, const json& value) {
  if (value.is_null()) return {};
  if (vr == "PN" && (value.is_string() || value.is_object())) {
    if (has_delimiter_in_group(value)) return "has a group with an equals sign";
    return dicom::misfit(vr, name_of(value));
  }
  if (is_bytes(vr)) return {};  // of no form that anybody knows
  if (is_number(vr)) return misfit_of_number(vr, value);
  if (value.is_number()) {
    return vr == "DS" || vr == "IS" ? dicom::misfit(vr, value.dump()) : "is a number";
  }
  if (!value.is_string()) return "is no text";
  return dicom::misfit(vr, value.get_ref<const std::string&>());
}

Error misfit_error(const wire::ElementForm& form, std::string_view vr, std::string_view what) {
  return permanent_error("api.bad_value", form.key + " has a value that is not of its VR " +
                                              std::string(vr) + ": it " + std::string(what) + ".");
}

}  // namespace

Result<void> check_values(const json& element, const wire::ElementForm& form,
                          const wire::FormLookup& look_up) {
  std::string vr = form.vr;
  const std::string given = element.value("vr", vr);
  if (!look_up(form.key) || (is_binary(vr) && is_binary(given))) vr = given;
  if (element.contains("InlineBinary") && !is_bytes(vr)) {
    return misfit_error(form, vr, "is given as bytes");
  }
  const auto values = element.find("Value");
  if (values == element.end()) return {};
  for (const json& value : *values) {
    if (vr == "SQ" && value.is_object()) {
      for (const auto& [name, inner] : value.items()) {
        const auto known = look_up(name);
        TRY(check_values(inner, known.value_or(wire::ElementForm{name, "UN", false}), look_up));
      }
      continue;
    }
    const std::string_view what = vr == "SQ" ? "is no item" : misfit_of(vr, value);
    if (!what.empty()) return misfit_error(form, vr, what);
  }
  return {};
}

}  // namespace isthmus::api
