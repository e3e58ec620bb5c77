// EXPECT_THAT(result, IsOk()), EXPECT_THAT(result, FailsWith("spool.full")).
#pragma once

#include <gmock/gmock.h>

#include <ostream>

#include "base/error.h"
#include "base/result.h"

namespace isthmus {

inline void PrintTo(const Error& error, std::ostream* out) {
  *out << describe(error);
}
template <typename T>
void PrintTo(const Result<T>& result, std::ostream* out) {
  if (result.ok()) {
    *out << "a value";
  } else {
    *out << describe(result.error());
  }
}

namespace test {

MATCHER(IsOk, negation ? "is an error" : "is a value") {
  if (arg.ok()) return true;
  *result_listener << describe(arg.error());
  return false;
}

MATCHER_P(FailsWith, code, std::string("fails with ") + code) {
  if (arg.ok()) return false;
  *result_listener << describe(arg.error());
  return arg.error().code == code;
}

MATCHER_P2(FailsWith, code, fate,
           std::string("fails with ") + code + " (" + std::string(to_string(fate)) + ")") {
  if (arg.ok()) return false;
  *result_listener << describe(arg.error());
  return arg.error().code == code && arg.error().fate == fate;
}

// ASSERT_OK_AND_ASSIGN(auto receipt, incoming->commit(…));
#define ASSERT_OK_AND_ASSIGN(declaration, ...) \
  ASSERT_OK_AND_ASSIGN_(ISTHMUS_CONCAT(assert_result_, __COUNTER__), declaration, __VA_ARGS__)
#define ASSERT_OK_AND_ASSIGN_(name, declaration, ...)          \
  auto name = (__VA_ARGS__);                                   \
  ASSERT_TRUE(name.ok()) << ::isthmus::describe(name.error()); \
  declaration = std::move(name).value()

}  // namespace test
}  // namespace isthmus
