// Keys from the configuration: always the same ones.
#include "auth/credentials.h"

namespace isthmus {

namespace {

class StaticCredentials : public CredentialsSource {
 public:
  explicit StaticCredentials(Credentials credentials) : credentials_(std::move(credentials)) {}

  Result<Credentials> credentials() override {
    if (credentials_.access_key_id.empty() || credentials_.secret_access_key.empty()) {
      return transient_error("auth.no_credentials",
                             "No access key is configured for this destination.");
    }
    return credentials_;
  }

 private:
  const Credentials credentials_;
};

}  // namespace

std::unique_ptr<CredentialsSource> make_static_credentials(Credentials credentials) {
  return std::make_unique<StaticCredentials>(std::move(credentials));
}

}  // namespace isthmus
