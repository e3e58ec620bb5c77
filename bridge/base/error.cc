#include "base/error.h"

#include <cstdio>
#include <cstdlib>

#include "base/result.h"

namespace isthmus {

std::string_view to_string(Fate fate) {
  switch (fate) {
    case Fate::transient:
      return "transient";
    case Fate::permanent:
      return "permanent";
    case Fate::fatal:
      return "fatal";
  }
  return "unknown";
}

Error transient_error(std::string code, std::string message) {
  return {std::move(code), std::move(message), Fate::transient};
}
Error permanent_error(std::string code, std::string message) {
  return {std::move(code), std::move(message), Fate::permanent};
}
Error fatal_error(std::string code, std::string message) {
  return {std::move(code), std::move(message), Fate::fatal};
}

std::string describe(const Error& error) {
  std::string text = error.code;
  text += " (";
  text += to_string(error.fate);
  text += "): ";
  text += error.message;
  return text;
}

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "isthmus: assertion failed: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace isthmus
