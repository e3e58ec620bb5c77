// Result<T>: a T or an Error. Operations that can fail for reasons outside the program return one;
// exceptions are left to bugs.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/error.h"

namespace isthmus {

// Ends the process with a message on stderr. For what cannot be; input from outside is checked,
// never asserted. Stays on in release builds.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
#define ASSERT(condition) \
  ((condition) ? void(0) : ::isthmus::assertion_failed(#condition, __FILE__, __LINE__))

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  template <typename U = T>
  requires(std::constructible_from<T, U&&> && !std::same_as<std::remove_cvref_t<U>, Result> &&
           !std::same_as<std::remove_cvref_t<U>, Error>) Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // The value or the error; asking for the wrong one is a bug and ends the process.
  T& value() & { return ASSERT(ok()), *std::get_if<0>(&state_); }
  const T& value() const& { return ASSERT(ok()), *std::get_if<0>(&state_); }
  // By value, so that `for (const auto& x : list().value())` does not walk over what is gone.
  T value() && { return ASSERT(ok()), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return ASSERT(!ok()), *std::get_if<1>(&state_); }
  Error&& error() && { return ASSERT(!ok()), std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { ASSERT(ok()); }
  const Error& error() const& { return ASSERT(!ok()), *error_; }
  Error&& error() && { return ASSERT(!ok()), std::move(*error_); }

 private:
  std::optional<Error> error_;
};

// Says that a result is not looked at, and why that is right.
template <typename T>
void ignore(const Result<T>&, [[maybe_unused]] const char* why) {}

#define ISTHMUS_CONCAT2(a, b) a##b
#define ISTHMUS_CONCAT(a, b) ISTHMUS_CONCAT2(a, b)

// Returns the error of `expression` to the caller, if it has one.
#define TRY(expression)                                     \
  do {                                                      \
    if (auto try_result = (expression); !try_result.ok()) { \
      return std::move(try_result).error();                 \
    }                                                       \
  } while (false)

// TRY_ASSIGN(const Digest digest, file.digest()): the value, or the error to the caller.
#define TRY_ASSIGN(declaration, ...) \
  TRY_ASSIGN_(ISTHMUS_CONCAT(try_result_, __COUNTER__), declaration, __VA_ARGS__)
#define TRY_ASSIGN_(name, declaration, ...)       \
  auto name = (__VA_ARGS__);                      \
  if (!name.ok()) return std::move(name).error(); \
  declaration = std::move(name).value()

}  // namespace isthmus
