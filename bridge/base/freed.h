// Ownership of what C libraries make: std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>.
#pragma once

namespace isthmus {

// A deleter that calls `Free`, whatever that returns.
template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* what) const {
    Free(what);
  }
};

}  // namespace isthmus
